import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { quarantineKey } from '#libs/domain';
import { zipArchive } from '#libs/inspection/testing';
import type { Verdict } from '#libs/scanner';
import { actor, CONTENT, INCOMING, QUARANTINE, sha256, World } from '../../../libs/testing/src/world.js';

const HOUR_MS = 3_600_000;
const NO_QUOTA = { reservedBytes: 0, usedBytes: 0, reservedAssets: 0, usedAssets: 0 };

describe('scanning (real: PostgreSQL, queue, storage emulator; a scripted scanner)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ admitUnscannable: ['text/csv'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    world.scanner.answers.clear();
    world.scanner.isDown = false;
    world.scanner.label = 'scripted 1';
  });

  const infect = (text: string, signature = 'Test.Signature') =>
    world.scanner.answers.set(text, { outcome: 'infected', signature });
  const newSignatures = () => (world.scanner.label = `scripted ${Math.random()}`);
  /** Scans again until no object is due. */
  const rescan = async () => {
    while ((await world.rescan.next(new Date())) !== null);
  };
  const exists = async (bucket: string, key: string) => (await world.objects(bucket)).includes(key);

  it('records the scanner that found an asset clean', async () => {
    const asset = await world.upload('clean one');
    expect(asset.status).toBe('READY');
    const row = await world.database.prisma.mediaAsset.findUniqueOrThrow({
      where: { assetId: asset.id },
      include: { storedObject: true },
    });
    expect([row.scannedBy, row.storedObject?.scannedBy]).toEqual(['scripted 1', 'scripted 1']);
  });

  it('rejects an infected file and moves it to quarantine', async () => {
    infect('evil one');
    const bytes = 'an evil one';
    const asset = await world.upload(bytes, {}, actor(2n));
    expect(asset).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'MALWARE', message: 'The file is infected: Test.Signature.' },
      storedObjectId: null,
    });
    expect(await world.objects(QUARANTINE)).toContain(quarantineKey(sha256(bytes)));
    expect(await exists(INCOMING, asset.id)).toBe(false);
    expect(await exists(CONTENT, `content/${sha256(bytes)}`)).toBe(false);
    expect(await world.quotas.of(2n)).toMatchObject(NO_QUOTA);
    expect(await world.urls.sign(actor(2n), asset, 60, 'ATTACHMENT')).toBeNull();
    // The quarantine already contains these bytes.
    expect(await world.upload(bytes, {}, actor(3n))).toMatchObject({ status: 'REJECTED' });
  });

  it('rejects an unscannable file unless its type is admitted', async () => {
    world.scanner.answers.set('sealed', { outcome: 'unscannable', why: 'it is encrypted' });
    expect(await world.upload('a sealed one')).toMatchObject({
      status: 'REJECTED',
      statusReason: {
        code: 'UNSCANNABLE',
        message: 'The file could not be scanned for malware: it is encrypted.',
      },
    });
    expect(await world.upload('a,sealed,one', { mimeType: 'text/csv' })).toMatchObject({ status: 'READY' });
  });

  it('tells the client to remove a password instead of quoting the scanner', async () => {
    world.scanner.answers.set('locked', { outcome: 'unscannable', why: 'It is encrypted (Zip)' });
    const bytes = zipArchive([{ name: 'locked', content: 'secret', lies: { flags: 1 } }]);
    expect(await world.upload(bytes, { mimeType: 'application/zip' })).toMatchObject({
      statusReason: { code: 'UNSCANNABLE', message: expect.stringContaining('remove its password') },
    });
  });

  it('records no scanner for an unscannable file and scans it again with new signatures', async () => {
    world.scanner.answers.set('opaque', { outcome: 'unscannable', why: 'it is too large' });
    const text = 'an,opaque,one';
    const { id } = await world.upload(text, { mimeType: 'text/csv' });
    const scannedBy = async () => (await world.assets.contents([id])).get(id)?.scannedBy;
    expect(await scannedBy()).toBeNull();
    world.scanner.scanned.length = 0;
    await rescan();
    newSignatures();
    await rescan();
    await rescan();
    expect(world.scanner.scanned.filter((sum) => sum === sha256(text))).toHaveLength(1);
    infect('opaque');
    newSignatures();
    await rescan();
    expect(await world.asset(id)).toMatchObject({ status: 'REJECTED', statusReason: { code: 'MALWARE' } });
  });

  it('reports a checksum mismatch rather than an infection', async () => {
    infect('evil two');
    const { id, job } = await world.received('good bytes', {}, actor(4n), 'evil two !');
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ statusReason: { code: 'CHECKSUM_MISMATCH' } });
  });

  it('waits for a scanner that is down without using up an attempt', async () => {
    const { id, job } = await world.received('patient');
    world.scanner.isDown = true;
    for (let turn = 0; turn < 7; turn++) {
      await expect(world.process(job)).rejects.toMatchObject({ reason: 'SCANNER_UNAVAILABLE' });
    }
    expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt: 1 });
    world.scanner.isDown = false;
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ status: 'READY', attempt: 1 });
  });

  it('uses up an attempt when the scanner fails on the bytes', async () => {
    world.scanner.answers.set('poison', { outcome: 'error', message: 'out of memory' });
    const { id } = await world.received('poison');
    for (let attempt = 1; attempt <= 5; attempt++) {
      expect(await world.asset(id)).toMatchObject({ status: 'PROCESSING', attempt });
      await world.process(await world.job(id));
    }
    expect(await world.asset(id)).toMatchObject({ status: 'FAILED' });
    const letters = await world.database.prisma.deadLetter.findMany({ where: { assetId: id } });
    expect(letters).toMatchObject([{ error: 'Error: the scanner failed: out of memory', attempts: 5 }]);
  });

  it.each<[string, Verdict, object]>([
    ['clean', { outcome: 'clean' }, { usedAssets: 1, reservedAssets: 0 }],
    ['infected', { outcome: 'infected', signature: 'Test.Signature' }, NO_QUOTA],
    ['unscannable', { outcome: 'unscannable', why: 'it is encrypted' }, NO_QUOTA],
  ])('applies a deletion that comes while the scanner reads %s bytes', async (name, verdict, quota) => {
    const by = actor(BigInt(50 + name.length));
    const bytes = `deleted while scanned: ${name}`;
    world.scanner.answers.set(bytes, verdict);
    const { id, job } = await world.received(bytes, {}, by);
    const scan = jest.spyOn(world.scanner, 'scan');
    scan.mockImplementationOnce(async (content, options) => {
      for (let again = 0; again < 2; again++) {
        expect(await world.removal.delete(by, id)).toMatchObject({ status: 'PROCESSING' });
      }
      await expect(world.removal.purge(by, id)).rejects.toMatchObject({ reason: 'STILL_PROCESSING' });
      return world.scanner.scan(content, options);
    });
    await world.process(job);
    expect(scan).toHaveBeenCalledTimes(2);
    scan.mockRestore();

    const deleted = await world.asset(id);
    expect(deleted).toMatchObject({ status: 'DELETED' });
    expect(await world.urls.sign(by, deleted, 60, 'ATTACHMENT')).toBeNull();
    expect(await world.quotas.of(by.ownerId)).toMatchObject(quota);
    expect(await world.objects(INCOMING)).not.toContain(id);
    expect(await exists(QUARANTINE, quarantineKey(sha256(bytes)))).toBe(name === 'infected');
    const restored = world.removal.restore(by, id);
    if (name === 'clean') expect(await restored).toMatchObject({ status: 'READY' });
    else await expect(restored).rejects.toMatchObject({ reason: 'NOTHING_TO_RESTORE' });
  });

  it('leaves no file on disk, whatever the outcome', async () => {
    world.scanner.answers.set('breaks', new Error('broken'));
    const octets = { mimeType: 'application/octet-stream' };
    await world.upload('%PDF-1.4 one', octets);
    await world.upload('%PDF-1.4 breaks', octets);
    await world.upload(Buffer.alloc(200_000, 'text '), octets);
    const [own = ''] = await readdir(world.spoolFolder);
    expect(await readdir(path.join(world.spoolFolder, own))).toEqual([]);
  });

  describe('a rescan with new signatures', () => {
    it('rejects all assets of an infected object, immediately and permanently', async () => {
      const [bytes, mine, theirs] = ['a sleeper', actor(10n), actor(11n)];
      const first = await world.upload(bytes, {}, mine);
      const second = await world.upload(bytes, {}, theirs);
      const deleted = await world.upload(bytes, {}, actor(12n));
      await world.removal.delete(actor(12n), deleted.id);
      const signed = await world.urls.sign(theirs, second, 60, 'ATTACHMENT');
      expect((await fetch(signed!.url)).status).toBe(200);

      infect('sleeper', 'Late.Signature');
      newSignatures();
      await rescan();
      for (const id of [first.id, second.id]) {
        expect(await world.asset(id)).toMatchObject({
          status: 'REJECTED',
          statusReason: { code: 'MALWARE' },
          storedObjectId: null,
        });
        expect((await world.events(id)).at(-1)).toBe('asset.condemned');
      }
      for (const owner of [10n, 11n]) expect(await world.quotas.of(owner)).toMatchObject(NO_QUOTA);
      // A URL that was signed before no longer serves the bytes.
      expect((await fetch(signed!.url)).status).toBe(404);
      expect(await world.objects(QUARANTINE)).toContain(quarantineKey(sha256(bytes)));
      await expect(world.removal.restore(actor(12n), deleted.id)).rejects.toMatchObject({
        reason: 'NOTHING_TO_RESTORE',
        message: 'The file was found to be infected.',
      });
      await world.removal.purge(actor(12n), deleted.id);
      expect(await world.quotas.of(12n)).toMatchObject(NO_QUOTA);

      // Bytes that were once found infected stay rejected, even if the scanner now calls them clean.
      world.scanner.answers.clear();
      expect(await world.upload(bytes, {}, actor(13n))).toMatchObject({
        status: 'REJECTED',
        statusReason: { code: 'MALWARE' },
      });
    });

    it('finishes a quarantine that a crashed worker began', async () => {
      const asset = await world.upload('half condemned', {}, actor(20n));
      const id = asset.storedObjectId!;
      expect(await world.stored.markInfected({ id })).toBe(id);
      expect(await world.stored.markInfected({ id })).toBeNull();
      await world.runTask('quarantine');
      await world.runTask('quarantine');
      expect(await world.asset(asset.id)).toMatchObject({ status: 'REJECTED' });
      expect(await exists(CONTENT, asset.objectKey)).toBe(false);
      expect((await world.events(asset.id)).filter((type) => type === 'asset.condemned')).toHaveLength(1);
    });

    it('scans from the newest to the oldest object, each in one worker', async () => {
      await rescan();
      const texts = ['in order one', 'in order two', 'in order three'];
      for (const text of texts) await world.upload(text);
      newSignatures();
      world.scanner.scanned.length = 0;
      const now = new Date();
      await Promise.all([world.rescan.next(now), world.rescan.next(now), world.rescan.next(now)]);
      await rescan();
      const order = world.scanner.scanned.filter((sum) => texts.map(sha256).includes(sum));
      expect(order).toHaveLength(3);
      expect(new Set(order)).toEqual(new Set(texts.map(sha256)));
      world.scanner.scanned.length = 0;
      newSignatures();
      await rescan();
      expect(world.scanner.scanned.slice(0, 3)).toEqual([...texts].reverse().map(sha256));
      // All objects have been scanned with these signatures.
      world.scanner.scanned.length = 0;
      await rescan();
      expect(world.scanner.scanned).toEqual([]);
    });

    it('is limited only by its rate in bytes, however small the objects are', async () => {
      const texts = Array.from({ length: 5 }, (_, i) => `small ${i}`);
      for (const text of texts) await world.upload(text);
      newSignatures();
      world.scanner.scanned.length = 0;
      await world.runTask('signatures');
      expect(world.scanner.scanned).toEqual(expect.arrayContaining(texts.map(sha256)));
    });

    it('retries after a delay an object that the scanner failed on', async () => {
      const asset = await world.upload('failed on again');
      world.scanner.answers.set('failed on again', { outcome: 'error', message: 'out of memory' });
      newSignatures();
      await rescan();
      expect(await world.asset(asset.id)).toMatchObject({ status: 'READY' });
      world.scanner.answers.clear();
      world.scanner.scanned.length = 0;
      await rescan();
      expect(world.scanner.scanned).toEqual([]);
      const later = new Date(Date.now() + 3 * HOUR_MS);
      while ((await world.rescan.next(later)) !== null);
      expect(world.scanner.scanned).toEqual([sha256('failed on again')]);
    });

    it('covers in its next pass an object that a worker with older signatures stored', async () => {
      newSignatures();
      await rescan();
      const { label } = world.scanner;
      world.scanner.label = 'scripted before';
      await world.upload('stored meanwhile');
      world.scanner.label = label;
      world.scanner.scanned.length = 0;
      await rescan();
      expect(world.scanner.scanned).toEqual([]);
      const later = new Date(Date.now() + 2 * HOUR_MS);
      while ((await world.rescan.next(later)) !== null);
      expect(world.scanner.scanned).toEqual([sha256('stored meanwhile')]);
    });

    it('keeps an object that became unscannable, and every object while the scanner is down', async () => {
      const asset = await world.upload('cannot be scanned again');
      world.scanner.answers.set('scanned again', { outcome: 'unscannable', why: 'limits' });
      newSignatures();
      await rescan();
      expect(await world.asset(asset.id)).toMatchObject({ status: 'READY' });
      world.scanner.isDown = true;
      newSignatures();
      await expect(world.rescan.next(new Date())).rejects.toMatchObject({ reason: 'SCANNER_UNAVAILABLE' });
      expect(await world.asset(asset.id)).toMatchObject({ status: 'READY' });
    });
  });
});
