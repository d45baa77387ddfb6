import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Clock } from '#libs/database';
import type { StowageError } from '#libs/domain';
import type { UploadTicket } from '#libs/upload';
import { EncryptedText } from '../../../libs/assets/src/encrypted-text.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { ScriptedSessions } from '../../support/scripted-sessions.js';
import { runUploadTasks } from '../../support/upload-tasks.js';
import { actor, INCOMING, PAGE, requestFor, World } from '../../../libs/testing/src/world.js';
import { SESSION_KEY } from '../../../libs/testing/src/emulators.js';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';

const QUANTUM = 256 * 1024;
const DAY_MS = 86_400_000;
const BODY = Buffer.alloc(QUANTUM + 1000, 'chunk by chunk ');
const RESUMABLE = { method: 'RESUMABLE' } as const;
const UNAVAILABLE = { kind: 'unavailable', reason: 'STORAGE_UNAVAILABLE' };
const later = (ms: number) => new Date(Date.now() + ms);

describe('upload sessions (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  let sessions: ScriptedSessions;
  let owner = 100n;
  beforeAll(async () => {
    world = await World.start({
      aroundSessions: (real) => (sessions = new ScriptedSessions(real)),
      sessionKeys: [SESSION_KEY, 'f'.repeat(64)],
    });
  });
  afterAll(() => world[Symbol.asyncDispose]());
  beforeEach(() => {
    owner += 1n;
    sessions.isDown = false;
    sessions.beforeEnd = sessions.afterOpen = () => Promise.resolve();
    sessions.opened.length = sessions.calls = sessions.most = 0;
  });

  const me = () => actor(owner);
  const request = (more: object = {}) => world.request(BODY, { ...RESUMABLE, ...more }, me());
  const renew = (id: string) => world.uploads.renew(me(), id);
  const send = async ({ url }: { readonly url: string }, from: number, to = BODY.length) => {
    const response = await fetch(url, {
      method: 'PUT',
      headers: { 'content-range': `bytes ${from}-${to - 1}/${BODY.length}` },
      body: BODY.subarray(from, to),
      redirect: 'manual',
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.arrayBuffer();
    return response.status;
  };
  const sendFirst = (ticket: UploadTicket | null) => send(ticket!, 0, QUANTUM);
  const endByClient = (url: string) =>
    fetch(url, { method: 'DELETE', signal: AbortSignal.timeout(LIMIT_MS) });
  const rowOf = async (assetId: string) =>
    (await world.database.prisma.mediaAsset.findUnique({ where: { assetId } }))!;
  const reserved = async () => (await world.quotas.of(owner)).reservedBytes;
  const record = (assetId: string, uploadSession: string | null) =>
    world.database.prisma.mediaAsset.update({ where: { assetId }, data: { uploadSession } });

  describe('the ticket', () => {
    it('is not issued while the clock is beyond the limit, and its reservation is released', async () => {
      const refused = { kind: 'unavailable', reason: 'CLOCK_OFFSET' };
      await withLocalClockOff(7_200_000, world.module.get(Clock), async () => {
        await expect(request()).rejects.toMatchObject(refused);
        await expect(request({ method: 'PUT' })).rejects.toMatchObject(refused);
      });
      expect(sessions.opened).toEqual([]);
      expect(await reserved()).toBe(0);
    });

    it('is a session that accepts chunks until it expires', async () => {
      const { id, asset, ticket } = await request();
      expect(ticket).toMatchObject({ protocol: 'GCS_RESUMABLE', httpMethod: 'PUT', headers: [] });
      expect(await sendFirst(ticket)).toBe(308);
      expect(await world.completion.checkObject(id)).toBe('nothing-there');
      expect(await send(ticket!, QUANTUM)).toBe(200);
      expect(await world.completion.checkObject(id)).toBe('claimed');
      await world.process(await world.job(id));
      expect(await world.asset(id)).toMatchObject({ status: 'READY' });
      const life = Number(ticket!.expiresAt) - Number(asset.createdAt);
      expect([life > 6 * DAY_MS, life < 8 * DAY_MS]).toEqual([true, true]);
    });

    it('sets the upload deadline to the expiry of the session', async () => {
      const { id, ticket } = await request();
      const { uploadDeadlineAt, urlExpiresAt } = await world.asset(id);
      expect([uploadDeadlineAt, urlExpiresAt]).toEqual([ticket!.expiresAt, ticket!.expiresAt]);
    });

    it('needs no storage call for a PUT upload', async () => {
      await world.request(BODY, {}, me());
      expect(sessions.calls).toBe(0);
    });

    it('lets the requesting page use the session if the api serves its origin', async () => {
      for (const origin of [
        PAGE,
        'https://elsewhere.example',
        'null',
        'https://app.example/path',
        undefined,
      ]) {
        await world.uploads.request(me(), requestFor(`from ${origin}`, RESUMABLE), 'r', origin);
      }
      expect(sessions.opened.map((each) => each.request.origin)).toEqual([
        PAGE,
        ...Array.from({ length: 4 }, () => undefined),
      ]);
    });

    it('is limited to the declared size and type', async () => {
      await request({ mimeType: 'text/html' });
      expect(sessions.opened[0]?.request).toMatchObject({ contentType: 'text/html', sizeBytes: BODY.length });
    });
  });

  describe('the record of a session', () => {
    it('is encrypted and bound to its asset', async () => {
      const [one, other] = [await request(), await request()];
      const sealed = (await rowOf(one.id)).uploadSession!;
      const uploadId = new URL(one.ticket!.url).searchParams.get('upload_id')!;
      expect([sealed.includes(uploadId), Buffer.from(sealed, 'base64url').includes(uploadId)]).toEqual([
        false,
        false,
      ]);
      await record(other.id, sealed);
      await expect(renew(other.id)).rejects.toMatchObject({ reason: 'UPLOAD_SESSION_UNREADABLE' });
      expect(await renew(one.id)).toMatchObject({ url: one.ticket!.url });
    });

    it('is readable with a retired key', async () => {
      const { id, ticket } = await request();
      await record(id, new EncryptedText(['f'.repeat(64)]).seal(id, ticket!.url));
      expect(await renew(id)).toMatchObject({ url: ticket!.url });
      await world.uploads.cancel(me(), id);
      expect(await sessions.stateOf(ticket!.url)).toBe('gone');
    });

    it('keeps the reservation until the session expires if no key decrypts it', async () => {
      const { id, ticket } = await request();
      await record(id, new EncryptedText(['e'.repeat(64)]).seal(id, ticket!.url));
      for (const attempt of [() => renew(id), () => world.uploads.cancel(me(), id)]) {
        await expect(attempt()).rejects.toMatchObject({
          kind: 'unavailable',
          reason: 'UPLOAD_SESSION_UNREADABLE',
        });
      }
      expect(await reserved()).toBe(BODY.length);
      const ended = new Date(Date.now() - 1);
      await world.database.prisma.mediaAsset.update({
        where: { assetId: id },
        data: { urlExpiresAt: ended, uploadDeadlineAt: ended, nextCheckAt: ended },
      });
      await runUploadTasks(world);
      expect([(await world.asset(id)).status, await reserved()]).toEqual(['EXPIRED', 0]);
    });

    it('is deleted once the bytes are claimed', async () => {
      const { id, ticket } = await request();
      await send(ticket!, 0);
      await world.completion.checkObject(id);
      expect((await rowOf(id)).uploadSession).toBeNull();
    });
  });

  describe('a renewal', () => {
    it('returns the open session with its bytes and its expiry', async () => {
      const { id, ticket } = await request({ idempotencyKey: 'same' });
      await sendFirst(ticket);
      const before = await world.asset(id);
      expect(await renew(id)).toEqual(ticket);
      expect((await request({ idempotencyKey: 'same' })).ticket).toEqual(ticket);
      expect(await world.asset(id)).toMatchObject({ uploadDeadlineAt: before.uploadDeadlineAt });
      expect(await send(ticket!, QUANTUM)).toBe(200);
      expect(sessions.opened).toHaveLength(1);
    });

    it('replaces a session that storage no longer knows', async () => {
      const { id, ticket } = await request({ idempotencyKey: 'anew' });
      await sendFirst(ticket);
      await endByClient(ticket!.url);
      const renewed = await renew(id);
      expect(renewed.url).not.toBe(ticket!.url);
      await endByClient(renewed.url);
      const replayed = await request({ idempotencyKey: 'anew' });
      expect([replayed.id, replayed.ticket!.url === renewed.url]).toEqual([id, false]);
      expect(Number(replayed.ticket!.expiresAt)).toBeGreaterThanOrEqual(Number(ticket!.expiresAt));
      expect(await send(replayed.ticket!, 0)).toBe(200);
      expect(await world.completion.checkObject(id)).toBe('claimed');
    });

    it('agrees with concurrent renewals on one session and ends the others', async () => {
      const { id, ticket } = await request();
      await endByClient(ticket!.url);
      // All five renewals open a session before the first one is recorded.
      const { promise: all, resolve } = Promise.withResolvers<void>();
      let count = 0;
      sessions.afterOpen = () => {
        count += 1;
        if (count === 5) resolve();
        return all;
      };
      const renewed = await Promise.all(Array.from({ length: 5 }, () => renew(id)));
      const [{ url }] = renewed as [UploadTicket];
      expect(renewed.map((each) => each.url)).toEqual(Array(5).fill(url));
      const states = await Promise.all(sessions.opened.map((each) => sessions.stateOf(each.url)));
      expect(states.filter((state) => state === 'open')).toHaveLength(1);
      expect(await sessions.stateOf(url)).toBe('open');
    });

    it('claims bytes whose event was lost', async () => {
      const first = await request();
      await send(first.ticket!, 0);
      await expect(renew(first.id)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_PENDING' });
      expect(await world.asset(first.id)).toMatchObject({ status: 'PROCESSING' });
      const second = await request({ idempotencyKey: 'lost event', filename: 'second.txt' });
      await send(second.ticket!, 0);
      const replayed = await request({ idempotencyKey: 'lost event', filename: 'second.txt' });
      expect(replayed).toMatchObject({ id: second.id, ticket: null, asset: { status: 'PROCESSING' } });
    });

    it('opens a new session if the object of a finished session was lost', async () => {
      const { id, ticket } = await request();
      await send(ticket!, 0);
      await world.emulators.client.bucket(INCOMING).file(id).delete();
      const renewed = await renew(id);
      expect(renewed.url).not.toBe(ticket!.url);
      expect(await send(renewed, 0)).toBe(200);
    });

    it('is refused while storage is down and to callers without write access', async () => {
      const { id, ticket } = await world.request(
        BODY,
        { ...RESUMABLE, acl: [{ principal: 'user:9', permissions: ['READ'] }] },
        me(),
      );
      await expect(world.uploads.renew(actor(9n), id)).rejects.toMatchObject({ kind: 'forbidden' });
      await expect(world.uploads.renew(actor(8n), id)).rejects.toMatchObject({ kind: 'not-found' });
      sessions.isDown = true;
      await expect(renew(id)).rejects.toMatchObject(UNAVAILABLE);
      sessions.isDown = false;
      expect(await renew(id)).toMatchObject({ url: ticket!.url });
    });
  });

  describe('an upload that ends without its bytes', () => {
    const ways: [string, string, (id: string) => Promise<unknown>][] = [
      ['cancelled', 'CANCELLED', (id) => world.uploads.cancel(me(), id)],
      ['deleted', 'DELETED', (id) => world.removal.delete(me(), id)],
      ['purged', 'gone', (id) => world.removal.purge(me(), id)],
      [
        'expired',
        'EXPIRED',
        async (id) => {
          const { failed } = await runUploadTasks(world, later(8 * DAY_MS));
          if (failed > 0) throw Object.assign(new Error('not expired'), UNAVAILABLE);
          return id;
        },
      ],
    ];
    const statusOf = async (id: string) => (await world.assets.findWithoutAccessCheck(id))?.status ?? 'gone';

    it.each(ways)(
      'has its session ended before its reservation is released when it is %s',
      async (_, status, end) => {
        const { id, ticket } = await request();
        await sendFirst(ticket);
        let reservedAtEnd: number | undefined;
        sessions.beforeEnd = async () => (reservedAtEnd ??= await reserved());
        await end(id);
        expect(reservedAtEnd).toBe(BODY.length);
        expect([await statusOf(id), await reserved()]).toEqual([status, 0]);
        expect(await sessions.stateOf(ticket!.url)).toBe('gone');
        expect(await send(ticket!, QUANTUM)).toBe(499);
      },
    );

    it.each(ways)('keeps its reservation while storage is down when it is %s', async (_, status, end) => {
      const { id, ticket } = await request();
      await sendFirst(ticket);
      sessions.isDown = true;
      await expect(end(id)).rejects.toMatchObject(UNAVAILABLE);
      expect([await statusOf(id), await reserved()]).toEqual(['PENDING', BODY.length]);
      sessions.isDown = false;
      await world.database.prisma.mediaAsset.update({
        where: { assetId: id },
        data: { nextCheckAt: new Date() },
      });
      await end(id);
      expect([await statusOf(id), await reserved()]).toEqual([status, 0]);
      expect(await sessions.stateOf(ticket!.url)).toBe('gone');
    });

    it.each<[string, string]>([
      ['cancelled', 'CANCELLED'],
      ['deleted', 'DELETED'],
      ['purged', 'gone'],
    ])('leaves no object when it is %s while its session finishes', async (way, status) => {
      const { id, ticket } = await request();
      sessions.beforeEnd = () => send(ticket!, 0);
      await ways.find(([name]) => name === way)![2](id);
      // The event of the object or the task would call this.
      await world.completion.checkObject(id, later(DAY_MS));
      expect([await statusOf(id), await reserved(), (await world.objects(INCOMING)).includes(id)]).toEqual([
        status,
        0,
        false,
      ]);
    });

    it('is not expired when its session finishes during the task', async () => {
      const { id, ticket } = await request();
      sessions.beforeEnd = () => send(ticket!, 0);
      await runUploadTasks(world, later(8 * DAY_MS));
      expect([await statusOf(id), await reserved()]).toEqual(['PROCESSING', BODY.length]);
    });

    it('keeps its reservation in every transition while a session is recorded', async () => {
      const { id } = await request();
      const asset = await world.asset(id);
      expect(await world.transitions.cancel(asset, new Date())).toBe(false);
      expect(await world.transitions.delete(asset, new Date())).toBe(false);
      expect(await world.transitions.expire(asset, later(8 * DAY_MS))).toBe(false);
      expect(await reserved()).toBe(BODY.length);
    });

    it('gets no session once it is cancelled', async () => {
      const { id, ticket } = await request();
      await endByClient(ticket!.url);
      sessions.afterOpen = () => world.uploads.cancel(me(), id);
      await expect(renew(id)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_PENDING' });
      expect([await statusOf(id), await reserved()]).toEqual(['CANCELLED', 0]);
      for (const { url } of sessions.opened) expect(await sessions.stateOf(url)).toBe('gone');
    });

    it('is expired if an older version recorded no session', async () => {
      const { id } = await request();
      await record(id, null);
      await runUploadTasks(world, later(8 * DAY_MS));
      expect([await statusOf(id), await reserved()]).toEqual(['EXPIRED', 0]);
    });
  });

  describe('a request while storage is down', () => {
    it('reserves nothing without an idempotency key', async () => {
      sessions.isDown = true;
      await expect(request()).rejects.toMatchObject(UNAVAILABLE);
      expect(await reserved()).toBe(0);
    });

    it('gets its ticket when it is repeated with its key', async () => {
      sessions.isDown = true;
      await expect(request({ idempotencyKey: 'k' })).rejects.toMatchObject(UNAVAILABLE);
      expect(await reserved()).toBe(BODY.length);
      sessions.isDown = false;
      const { id, ticket } = await request({ idempotencyKey: 'k' });
      expect(await reserved()).toBe(BODY.length);
      expect(await send(ticket!, 0)).toBe(200);
      expect(await world.completion.checkObject(id)).toBe('claimed');
    });

    it('expires long before a session would if its key is not repeated', async () => {
      sessions.isDown = true;
      await expect(request({ idempotencyKey: 'k' })).rejects.toMatchObject(UNAVAILABLE);
      await runUploadTasks(world, later(2 * 3_600_000));
      expect(await reserved()).toBe(0);
    });

    it('rejects only the RESUMABLE items of a batch, without trying each', async () => {
      sessions.isDown = true;
      const items = Array.from({ length: 60 }, (_, index) =>
        requestFor(`item ${index}`, index % 3 === 0 ? {} : RESUMABLE),
      );
      const results = await world.uploads.requestAll(me(), items, 'r');
      const reasons = results.map((result) => (result as StowageError).reason ?? 'ok');
      expect(reasons).toEqual(items.map((_, index) => (index % 3 === 0 ? 'ok' : 'STORAGE_UNAVAILABLE')));
      expect(sessions.calls).toBeLessThanOrEqual(8);
      expect((await world.quotas.of(owner)).reservedAssets).toBe(20);
    });
  });

  it('opens the sessions of a batch a few at a time', async () => {
    const items = Array.from({ length: 40 }, (_, index) => requestFor(`part ${index}`, RESUMABLE));
    const results = await world.uploads.requestAll(me(), items, 'r');
    const urls = results.map((result) => (result as { ticket: UploadTicket }).ticket.url);
    expect(new Set(urls).size).toBe(40);
    expect(sessions.opened).toHaveLength(40);
    expect(sessions.most).toBeLessThanOrEqual(8);
  });

  it('gives batch items with one key a single session', async () => {
    const items = Array.from({ length: 3 }, () => requestFor(BODY, { ...RESUMABLE, idempotencyKey: 'one' }));
    const results = await world.uploads.requestAll(me(), items, 'r');
    const urls = results.map((result) => (result as { ticket: UploadTicket }).ticket.url);
    expect(new Set(urls).size).toBe(1);
    expect(await sessions.stateOf(urls[0]!)).toBe('open');
  });
});
