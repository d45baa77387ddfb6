import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { UploadTicket } from '#libs/upload';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';
import { actor, INCOMING, World } from '../../../libs/testing/src/world.js';
import { inconsistencies } from '../../support/consistency.js';
import { emptyWorld } from '../../support/empty-world.js';

const ROUNDS = 15;
const RIGHT = 'right bytes';
const WRONG = 'wrong bytes';
const BY = actor();

describe('tickets that clients use more than once, or too late (real: PostgreSQL, queue, storage emulator)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  beforeEach(() => emptyWorld(world));
  afterAll(() => world?.[Symbol.asyncDispose]());

  const quota = () => world.quotas.of(BY.ownerId);
  const finish = async (id: string) => {
    if ((await world.asset(id)).status === 'PROCESSING') await world.process(await world.job(id));
  };
  const served = async (id: string) => {
    const { url } = (await world.urls.sign(BY, await world.asset(id), 60, 'ATTACHMENT'))!;
    return (await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) })).text();
  };
  const isConsistent = async () =>
    expect(await inconsistencies(world.testDatabase.url, world.emulators)).toEqual([]);

  /** Sends a whole body in an upload session and returns the HTTP status. */
  async function sendInSession(ticket: UploadTicket | null, bytes: string): Promise<number> {
    const response = await fetch(ticket!.url, {
      method: 'PUT',
      headers: { 'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}` },
      body: bytes,
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.arrayBuffer();
    return response.status;
  }

  const METHODS = [
    ['PUT', (ticket: UploadTicket | null, bytes: string) => world.put(ticket, bytes)],
    ['RESUMABLE', sendInSession],
  ] as const;

  it.each(METHODS)('do not change a READY asset: %s', async (method, send) => {
    const { id, ticket } = await world.request(RIGHT, { method });
    expect(await send(ticket, RIGHT)).toBe(200);
    await world.completion.checkObject(id);
    await finish(id);
    const ready = await world.asset(id);
    expect(ready).toMatchObject({ status: 'READY' });
    // The worker deleted the incoming object, so storage accepts a PUT. A finished session only repeats its answer.
    expect(await send(ticket, WRONG)).toBe(200);
    expect(await world.objects(INCOMING)).toEqual(method === 'PUT' ? [id] : []);
    expect(await world.completion.checkObject(id)).toBe(method === 'PUT' ? 'discarded' : 'nothing-there');
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await world.asset(id)).toEqual(ready);
    expect(await served(id)).toBe(RIGHT);
    await isConsistent();
  });

  it.each([
    ['right', 'wrong', RIGHT, WRONG, 'READY'],
    ['wrong', 'right', WRONG, RIGHT, 'REJECTED'],
  ])('keep the %s bytes when the %s ones follow', async (_first, _second, first, second, status) => {
    const { id, ticket } = await world.request(RIGHT);
    expect(await world.put(ticket, first)).toBe(200);
    expect(await world.put(ticket, second)).toBe(412);
    await world.completion.checkObject(id);
    expect(await world.put(ticket, second)).toBe(412);
    await finish(id);
    expect(await world.asset(id)).toMatchObject({ status });
    if (status === 'READY') expect(await served(id)).toBe(RIGHT);
    await isConsistent();
  });

  it.each(METHODS)(
    'lose their object to one of completeUpload and cancelUpload: %s',
    async (method, send) => {
      for (let round = 0; round < ROUNDS; round++) {
        const { id, ticket } = await world.request(`${RIGHT} ${round}`, { method });
        await send(ticket, `${RIGHT} ${round}`);
        const complete = () => world.uploads.complete(BY, id);
        const cancel = () => world.uploads.cancel(BY, id);
        const calls = round % 2 === 0 ? [complete(), cancel()] : [cancel(), complete()];
        const outcomes = await Promise.allSettled(calls);
        const [completed, cancelled] = round % 2 === 0 ? outcomes : outcomes.reverse();
        const { status } = await world.asset(id);
        expect(completed).toMatchObject({ status: 'fulfilled', value: { status } });
        if (status === 'CANCELLED')
          expect(cancelled).toMatchObject({ status: 'fulfilled', value: { status } });
        else {
          expect(status).toBe('PROCESSING');
          expect(cancelled).toMatchObject({ reason: { kind: 'conflict', reason: 'UPLOAD_NOT_PENDING' } });
        }
        const end = status === 'CANCELLED' ? 'asset.cancelled' : 'asset.received';
        expect(await world.events(id)).toEqual(['asset.requested', end]);
        await finish(id);
      }
      await isConsistent();
    },
  );

  it('are cancelled once, however often and concurrently', async () => {
    const other = await world.request('another upload');
    const { id } = await world.request(RIGHT);
    const calls = Array.from({ length: 8 }, () => world.uploads.cancel(BY, id));
    for (const asset of await Promise.all(calls)) expect(asset).toMatchObject({ id, status: 'CANCELLED' });
    expect(await world.uploads.cancel(BY, id)).toMatchObject({ status: 'CANCELLED' });
    expect(await world.events(id)).toEqual(['asset.requested', 'asset.cancelled']);
    // A reservation that was released twice would be missing for the other upload.
    expect(await quota()).toMatchObject({ reservedBytes: other.asset.sizeBytes, reservedAssets: 1 });
  });

  it.each(METHODS)('store nothing after the upload was cancelled: %s', async (method, send) => {
    const { id, ticket } = await world.request(RIGHT, { method });
    await world.uploads.cancel(BY, id);
    const cancelled = await world.asset(id);
    const status = await send(ticket, RIGHT);
    if (method === 'PUT') expect(status).toBe(200);
    else expect(status).toBe(499);
    expect(await world.completion.checkObject(id)).toBe(method === 'PUT' ? 'discarded' : 'nothing-there');
    expect(await world.objects(INCOMING)).toEqual([]);
    expect(await world.asset(id)).toEqual(cancelled);
    expect(await quota()).toMatchObject({ usedBytes: 0, reservedBytes: 0 });
    await expect(world.uploads.renew(BY, id)).rejects.toMatchObject({ reason: 'UPLOAD_NOT_PENDING' });
    await isConsistent();
  });

  it.each(METHODS)('use their reservation after the quota was lowered: %s', async (method, send) => {
    const { id, ticket } = await world.request(RIGHT, { method, idempotencyKey: 'first' });
    await world.quotas.setLimits(BY.ownerId, { limitBytes: 0, limitAssets: 0 });
    const refused = { kind: 'over-quota', reason: 'QUOTA_EXCEEDED' };
    await expect(world.request('another upload', { method })).rejects.toMatchObject(refused);
    const again = await world.request(RIGHT, { method, idempotencyKey: 'first' });
    expect(again.id).toBe(id);
    expect(await quota()).toMatchObject({ reservedBytes: RIGHT.length, reservedAssets: 1 });

    expect(await send(ticket, RIGHT)).toBe(200);
    await world.completion.checkObject(id);
    await finish(id);
    expect(await world.asset(id)).toMatchObject({ status: 'READY' });
    expect(await quota()).toMatchObject({ usedBytes: RIGHT.length, reservedBytes: 0, reservedAssets: 0 });
    await expect(world.request(RIGHT, { method })).rejects.toMatchObject(refused);
    await isConsistent();
  });
});
