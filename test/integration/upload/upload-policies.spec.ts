import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import type { Asset } from '#libs/assets';
import type { Tx } from '#libs/database';
import { type Actor, invalid, StowageError, unavailable } from '#libs/domain';
import { defineFeature } from '#libs/stowage';
import {
  type ParsedUploadRequest,
  type RequestedUpload,
  UploadPolicy,
  type UploadPolicyHandler,
  type UploadRequest,
} from '#libs/upload';
import { actor, requestFor, World } from '../../../libs/testing/src/world.js';

const MARKED = 'refused.txt';

/** Refuses files of one name, while it is set to. */
@Injectable()
@UploadPolicy('notes.names')
class NamesPolicy implements UploadPolicyHandler {
  isStrict = true;
  readonly asked: string[] = [];

  async check({ ownerId }: Actor, { filename }: ParsedUploadRequest): Promise<void> {
    this.asked.push(`${ownerId} ${filename}`);
    await Promise.resolve();
    if (!this.isStrict) return;
    if (filename === MARKED) throw invalid('NOTES_NAME_REFUSED', 'Refused.', ['input', 'filename']);
    if (filename === 'bug.txt') throw new TypeError('a bug in the policy');
  }
}

/** Writes a note with each asset. The text of a note is unique for its owner. */
@Injectable()
@UploadPolicy('notes.write')
class NotesPolicy implements UploadPolicyHandler {
  check(): void {}

  async created(tx: Tx, { id, ownerId, filename, status }: Asset): Promise<void> {
    await tx.$executeRaw`insert into fixture_notes values (${id}::uuid, ${ownerId}, ${filename}, ${status})`;
    if (filename === MARKED) throw invalid('NOTES_FULL', 'There are too many notes.');
    if (filename === 'bug.txt') throw new TypeError('a bug in the policy');
    if (filename === 'duplicate.txt')
      throw new Error('an error of the database', { cause: { code: '23505' } });
    if (filename === 'ignored.txt') {
      // A failed statement aborts the transaction even if its error is ignored.
      await tx.$executeRaw`select 1 / 0`.catch(() => undefined);
    }
  }
}

@Module({ providers: [NamesPolicy] })
class NamesModule {}
@Module({ providers: [NotesPolicy] })
class NotesModule {}

const featureOf = (name: string, module: new () => object) =>
  defineFeature({ name, compatibility: '*', api: () => Promise.resolve(module) });

const named = (filename: string, more: Partial<UploadRequest> = {}) =>
  requestFor(filename, { filename, ...more });
const reasonOf = (result: RequestedUpload | StowageError) =>
  result instanceof StowageError ? result.reason : result.asset.status;
const errorOf = (work: Promise<unknown>) => work.then(() => null).catch((error: unknown) => error);

/** Expects that the owner has these assets, and a quota that matches them. */
async function expectAssets(world: World, ownerId: bigint, statuses: readonly string[]) {
  const assets = await world.database.prisma.mediaAsset.findMany({
    where: { ownerId },
    orderBy: { createdAt: 'asc' },
  });
  expect(assets.map(({ status }) => String(status)).sort()).toEqual([...statuses].sort());
  const bytesOf = (status: string) =>
    assets
      .filter((asset) => asset.status === status)
      .reduce((sum, { sizeBytes }) => sum + Number(sizeBytes), 0);
  expect(await world.quotas.of(ownerId)).toMatchObject({
    reservedAssets: statuses.filter((status) => status === 'PENDING').length,
    reservedBytes: bytesOf('PENDING'),
    usedAssets: statuses.filter((status) => status === 'READY').length,
    usedBytes: bytesOf('READY'),
  });
  const ids = assets.map(({ assetId }) => assetId);
  expect(
    await world.database.prisma.domainEvent.count({ where: { ownerId, NOT: { assetId: { in: ids } } } }),
  ).toBe(0);
}

describe('an upload policy (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  let policy: NamesPolicy;
  beforeAll(async () => {
    world = await World.start({ features: [featureOf('notes', NamesModule)], allowedTypes: ['text/plain'] });
    policy = world.module.get(NamesPolicy, { strict: false });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(() => {
    policy.isStrict = true;
    jest.restoreAllMocks();
  });

  const ask = (ownerId: bigint, ...requests: UploadRequest[]) =>
    world.uploads.requestAll(actor(ownerId), requests, 'r');

  it('refuses a new upload before anything is reserved', async () => {
    const error = await errorOf(world.uploads.request(actor(100n), named(MARKED), 'r'));
    expect(error).toMatchObject({ reason: 'NOTES_NAME_REFUSED', inputPath: ['input', 'filename'] });
    await expectAssets(world, 100n, []);
    expect(await world.database.prisma.ownerQuota.count({ where: { ownerId: 100n } })).toBe(0);
  });

  it('refuses the upload of bytes that the owner has', async () => {
    policy.isStrict = false;
    await world.upload(MARKED, { filename: MARKED }, actor(101n));
    expect((await ask(101n, named(MARKED))).map(reasonOf)).toEqual(['READY']);
    policy.isStrict = true;
    expect((await ask(101n, named(MARKED))).map(reasonOf)).toEqual(['NOTES_NAME_REFUSED']);
    await expectAssets(world, 101n, ['READY', 'READY']);
  });

  it('refuses each item of a batch on its own, and hides bugs', async () => {
    const results = await ask(102n, named('a.txt'), named(MARKED), named('bug.txt'), named('b.txt'));
    expect(results.map(reasonOf)).toEqual([
      'PENDING',
      'NOTES_NAME_REFUSED',
      'UPLOAD_POLICY_FAILED',
      'PENDING',
    ]);
    expect(results[2]).toMatchObject({ kind: 'internal', message: 'Something went wrong on our side.' });
    await expectAssets(world, 102n, ['PENDING', 'PENDING']);
  });

  it('does not undo an earlier request whose key is repeated', async () => {
    policy.isStrict = false;
    const request = named(MARKED, { idempotencyKey: 'k' });
    const [first] = (await ask(103n, request)) as [RequestedUpload];
    policy.isStrict = true;
    const [again] = (await ask(103n, request)) as [RequestedUpload];
    expect(again.asset.id).toBe(first.asset.id);
    expect(again.ticket).not.toBeNull();
    const others = [
      named(MARKED, { idempotencyKey: 'k', metadata: [{ key: 'a', value: '1' }] }),
      named(MARKED),
    ];
    const unknown = named(MARKED, { idempotencyKey: 'other' });
    expect((await ask(103n, ...others, unknown)).map(reasonOf)).toEqual([
      'IDEMPOTENCY_KEY_REUSED',
      'NOTES_NAME_REFUSED',
      'NOTES_NAME_REFUSED',
    ]);
    expect((await ask(104n, request)).map(reasonOf)).toEqual(['NOTES_NAME_REFUSED']);
    await expectAssets(world, 103n, ['PENDING']);
  });

  it('is not asked about requests that the service refuses', async () => {
    policy.asked.length = 0;
    const requests = [named('a/b'), named('image', { mimeType: 'image/png' }), named('valid.txt')];
    expect((await ask(105n, ...requests)).map(reasonOf)).toEqual([
      'FILENAME_INVALID',
      'TYPE_NOT_ALLOWED',
      'PENDING',
    ]);
    expect(policy.asked).toEqual(['105 valid.txt']);
  });

  it('adds no statement to accepted requests', async () => {
    const query = jest.spyOn(world.database, 'query');
    const transaction = jest.spyOn(world.database, 'transaction');
    await ask(106n, named('a.txt'), named('b.txt'));
    await ask(106n, named('c.txt', { idempotencyKey: 'c' }));
    expect(query.mock.calls.map(([{ name }]) => name)).toEqual(['upload_create', 'upload_create']);
    expect(transaction).not.toHaveBeenCalled();
  });

  it('adds one statement to refused requests with a key, and none to others', async () => {
    const query = jest.spyOn(world.database, 'query');
    await ask(107n, named(MARKED), named(MARKED));
    expect(query).not.toHaveBeenCalled();
    await ask(107n, named(MARKED, { idempotencyKey: 'a' }), named(MARKED, { idempotencyKey: 'b' }));
    expect(query.mock.calls.map(([{ name }]) => name)).toEqual(['upload_find_replayed']);
  });
});

describe('an upload policy that writes with each asset (real: PostgreSQL, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ features: [featureOf('notes', NotesModule)] });
    await world.database.prisma.$executeRaw`
      create table fixture_notes (asset_id uuid primary key references media_assets on delete cascade, owner_id bigint not null,
        text text not null, status text not null, unique (owner_id, text))`;
  });
  afterAll(() => world?.[Symbol.asyncDispose]());
  afterEach(() => void jest.restoreAllMocks());

  const ask = (ownerId: bigint, ...requests: UploadRequest[]) =>
    world.uploads.requestAll(actor(ownerId), requests, 'r');
  const notes = async (ownerId: bigint) => {
    const rows = await world.database.prisma.$queryRaw<{ text: string; status: string }[]>`
      select text, status from fixture_notes where owner_id = ${ownerId} order by text, status`;
    return rows.map(({ text, status }) => `${text} ${status}`);
  };

  it('commits its row with the asset', async () => {
    const results = await ask(200n, named('a.txt'), named('b.txt'));
    expect(results.map(reasonOf)).toEqual(['PENDING', 'PENDING']);
    const [{ asset, ticket }] = results as [RequestedUpload];
    expect(await world.asset(asset.id)).toMatchObject({
      filename: 'a.txt',
      status: 'PENDING',
      ownerId: 200n,
    });
    expect(await world.put(ticket, 'a.txt')).toBe(200);
    expect(await notes(200n)).toEqual(['a.txt PENDING', 'b.txt PENDING']);
    await expectAssets(world, 200n, ['PENDING', 'PENDING']);
  });

  it.each([
    [210n, MARKED, 'NOTES_FULL'],
    [211n, 'bug.txt', 'UPLOAD_POLICY_FAILED'],
    [212n, 'duplicate.txt', 'UPLOAD_POLICY_FAILED'],
    [213n, 'ignored.txt', 'UPLOAD_POLICY_FAILED'],
  ])('leaves no asset, reservation or event when it fails: owner %d, %s', async (owner, filename, reason) => {
    const keyed = { idempotencyKey: 'k' };
    const results = await ask(owner, named('a.txt'), named(filename, keyed), named('b.txt'));
    expect(results.map(reasonOf)).toEqual(['PENDING', reason, 'PENDING']);
    expect(await notes(owner)).toEqual(['a.txt PENDING', 'b.txt PENDING']);
    await expectAssets(world, owner, ['PENDING', 'PENDING']);
    // The key of a refused upload was not used.
    expect((await ask(owner, named('c.txt', keyed))).map(reasonOf)).toEqual(['PENDING']);
  });

  it('writes with an asset that shares bytes of its owner, or leaves no reference', async () => {
    const { storedObjectId } = await world.upload('shared', { filename: 'first.txt' }, actor(240n));
    const share = (filename: string) => ask(240n, requestFor('shared', { filename }));
    expect((await share('second.txt')).map(reasonOf)).toEqual(['READY']);
    expect((await share(MARKED)).map(reasonOf)).toEqual(['NOTES_FULL']);
    expect((await share('ignored.txt')).map(reasonOf)).toEqual(['UPLOAD_POLICY_FAILED']);
    expect(await notes(240n)).toEqual(['first.txt PENDING', 'second.txt READY']);
    await expectAssets(world, 240n, ['READY', 'READY']);
    const object = await world.database.prisma.storedObject.findUnique({ where: { id: storedObjectId! } });
    expect(object?.refCount).toBe(2);
  });

  it('keeps the quota exact for concurrent requests', async () => {
    await world.database.prisma.ownerQuota.create({ data: { ownerId: 250n, limitAssets: 10 } });
    const files = Array.from({ length: 30 }, (_, index) => named(index % 3 === 2 ? MARKED : `${index}.txt`));
    const results = await Promise.all(files.map(async (file) => reasonOf((await ask(250n, file))[0]!)));
    const count = (reason: string) => results.filter((each) => each === reason).length;
    expect(count('PENDING')).toBe(10);
    expect(count('QUOTA_EXCEEDED') + count('NOTES_FULL')).toBe(20);
    expect(await notes(250n)).toHaveLength(10);
    await expectAssets(world, 250n, Array<string>(10).fill('PENDING'));
  });

  it('is not called for a replay', async () => {
    const request = named('a.txt', { idempotencyKey: 'k' });
    const results = [...(await ask(260n, request, request)), ...(await ask(260n, request))];
    expect(new Set((results as RequestedUpload[]).map(({ asset }) => asset.id)).size).toBe(1);
    expect(await notes(260n)).toEqual(['a.txt PENDING']);
    await expectAssets(world, 260n, ['PENDING']);
  });

  it('reports the assets that were created before an outage', async () => {
    const transaction = world.database.transaction.bind(world.database);
    let calls = 0;
    jest.spyOn(world.database, 'transaction').mockImplementation((work) => {
      if (++calls === 2) throw unavailable('DATABASE_UNAVAILABLE', 'Down.');
      return transaction(work);
    });
    const results = await ask(270n, named('a.txt'), named('b.txt'), named('c.txt'));
    expect(results.map(reasonOf)).toEqual(['PENDING', 'DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE']);
    expect(calls).toBe(2);
    await expectAssets(world, 270n, ['PENDING']);
  });
});
