import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createClient } from 'graphql-ws';
import pg from 'pg';
import { WebSocket } from 'ws';
import { CHANNEL } from '../../libs/events/src/domain-events.repository.js';
import { put } from '../e2e/stack.js';
import { NAMES } from '../../libs/testing/src/emulators.js';
import { signJwt } from '../../libs/testing/src/environment.js';
import { type Member } from '../support/fleet.js';
import { type FaultyFleet, startFaultyFleet } from './faulty-fleet.js';
import {
  expectConsistent,
  expectReady,
  requestUpload,
  type Requested,
  rows,
  sha256,
  upload,
} from './uploads.js';
import { until } from '../../libs/testing/src/until.js';

/** Assets that a worker processes at a time. */
const CONCURRENCY = 4;

describe('two apis and two workers side by side (real: all of them as processes, PostgreSQL, emulators)', () => {
  let parts: FaultyFleet;
  let { fleet, proxy, faults } = {} as FaultyFleet;

  beforeAll(async () => {
    parts = await startFaultyFleet({ apis: 2, workers: 2, env: { WORKER_CONCURRENCY: String(CONCURRENCY) } });
    ({ fleet, proxy, faults } = parts);
  });
  afterAll(async () => parts[Symbol.asyncDispose]());

  it('share the work, the stored objects and the reference counts', async () => {
    const ids = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        upload(fleet, `shared by three: ${index % 20}`, {
          subject: String(500 + (index % 7)),
          api: fleet.apis[index % 2],
        }),
      ),
    );
    await expectReady(fleet, ids);
    await expectConsistent(fleet);
    expect(await rows(fleet, `select count(*)::int, sum(ref_count)::int from stored_objects`)).toEqual([
      { count: 20, sum: 60 },
    ]);
    for (const { output } of fleet.workers) expect(output).toContain('"asset ready"');
    for (const { output } of fleet.apis) expect(output).toContain('"upload requested"');
  });

  it('accept exactly as many requests as the quota allows, and create one asset for one key', async () => {
    await rows(fleet, 'insert into owner_quotas (owner_id, limit_assets) values (600, 15)');
    const taken: string[] = [];
    const refused: string[] = [];
    const ask = async (index: number) => {
      const api = fleet.apis[index % 2];
      try {
        taken.push(await upload(fleet, `counted ${index}`, { subject: '600', api }));
      } catch (error) {
        refused.push(String(error));
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, index) => ask(index)));
    expect(taken).toHaveLength(15);
    for (const error of refused) expect(error).toContain('QUOTA_EXCEEDED');
    const same = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        requestUpload(fleet, 'one key', { subject: '601', api: fleet.apis[index % 2], idempotencyKey: 'k' }),
      ),
    );
    expect(new Set(same.map(({ id }) => id)).size).toBe(1);
    expect(await put(same[0]!.ticket, 'one key')).toBe(200);
    await expectReady(fleet, [...taken, same[0]!.id]);
    await expectConsistent(fleet);
  });

  it('notify a subscriber at one api of a change made at the other', async () => {
    const [here, there] = fleet.apis as [Member, Member];
    const { id } = await requestUpload(fleet, 'listened to', { subject: '603', api: there });
    const authorization = `Bearer ${await signJwt('603')}`;
    const client = createClient({
      url: `ws://127.0.0.1:${here.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization },
      retryAttempts: 0,
    });
    // Without a notification an api reads the asset again only at its heartbeat.
    const listener = new pg.Client({ connectionString: fleet.database.url });
    await listener.connect();
    let isNotified = false;
    listener.on('notification', ({ payload = '' }) => {
      if (payload.split(' ').includes(id)) isNotified = true;
    });
    try {
      const query = 'subscription ($id: ID!) { assetChanged(id: $id) { status } }';
      const changes = client.iterate({ query, variables: { id } });
      const next = async () => (await changes.next()).value as unknown;
      expect(await next()).toEqual({ data: { assetChanged: { status: 'PENDING' } } });
      const changed = next();
      await listener.query(`listen ${CHANNEL}`);
      await fleet.query(
        'mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }',
        { id },
        '603',
        there,
      );
      expect(await changed).toEqual({ data: { assetChanged: { status: 'CANCELLED' } } });
      await until('the change is notified', () => isNotified || null);
    } finally {
      await listener.end();
      await client.dispose();
    }
  });

  it('return the asset at the other api that a killed api created without answering', async () => {
    const api = await fleet.addApi(parts.behindProxy);
    const hold = proxy.hold({ what: 'answer', after: ['upload_create', 'said twice'] });
    const options = { subject: '602', idempotencyKey: 'said twice' };
    const unanswered = requestUpload(fleet, 'said twice', { ...options, api });
    const refused = expect(unanswered).rejects.toThrow('fetch failed');
    await hold.held;
    await api.end('SIGKILL');
    await refused;
    const created = await rows<{ id: string }>(
      fleet,
      'select asset_id as id from media_assets where owner_id = 602',
    );
    const { id, ticket } = await requestUpload(fleet, 'said twice', options);
    expect(created).toEqual([{ id }]);
    expect(await put(ticket, 'said twice')).toBe(200);
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('stop one api and one worker under load within 10 s without losing uploads', async () => {
    const [leavingApi, stayingApi] = fleet.apis as [Member, Member];
    const [leavingWorker] = fleet.workers as [Member];
    // Every worker reads as many bodies at once as it may.
    const slowBytes = Buffer.alloc(512 * 1024, 'slow ');
    const slow = await Promise.all(
      Array.from({ length: 2 * CONCURRENCY }, async (_, index) => {
        const bytes = Buffer.concat([slowBytes, Buffer.from(String(index))]);
        const requested = await requestUpload(fleet, bytes, { subject: '700' });
        const match = { bucket: NAMES.incomingBucket, keyPrefix: requested.id, method: 'GET' };
        await faults.add({ match, times: 2, action: { delayMs: 0 } });
        const reading = await faults.add({
          match,
          times: 1,
          action: { bytesPerSecond: 20_000, direction: 'response' },
        });
        expect(await put(requested.ticket, bytes)).toBe(200);
        return { ...requested, reading };
      }),
    );
    const areRead = async () => {
      const hits = await Promise.all(slow.map(({ reading }) => faults.hits(reading)));
      return hits.every((count) => count > 0) ? true : null;
    };
    await until('every worker reads as much as it can', areRead);

    const answered: (Requested & { readonly bytes: string })[] = [];
    const sent: string[] = [];
    const unanswered: string[] = [];
    let isOver = false;
    /** Sends requests to both apis in turn, and repeats unanswered ones at the other api with the same key. */
    const client = async (name: number) => {
      for (let turn = 0; !isOver; turn++) {
        const bytes = `client ${name}, upload ${turn}`;
        const options = { subject: String(800 + name), idempotencyKey: bytes };
        const requested = await requestUpload(fleet, bytes, {
          ...options,
          api: turn % 2 === 0 ? leavingApi : stayingApi,
        }).catch((error: unknown) => {
          unanswered.push(String(error));
          return requestUpload(fleet, bytes, { ...options, api: stayingApi });
        });
        answered.push({ ...requested, bytes });
        if ((await put(requested.ticket, bytes)) === 200) sent.push(requested.id);
      }
    };
    const clients = Array.from({ length: 8 }, (_, name) => client(name));
    const reached = (count: number) => until(`${count} uploads`, () => (sent.length >= count ? true : null));
    await reached(40);

    const codes = await Promise.all([leavingApi.end('SIGTERM'), leavingWorker.end('SIGTERM')]);
    expect(codes).toEqual([0, 0]);
    await reached(sent.length + 40);
    isOver = true;
    await Promise.all(clients);
    await faults.clear();

    // Unanswered requests failed at once: no connection, or 503 on an open one.
    for (const error of unanswered) expect(error).toMatch(/fetch failed|Service Unavailable/);
    expect(sent).toHaveLength(answered.length);
    const found = await rows<{ id: string; sum: string }>(
      fleet,
      'select asset_id as id, checksum_sha256 as sum from media_assets where owner_id between 800 and 807',
    );
    expect(new Map(found.map(({ id, sum }) => [id, sum]))).toEqual(
      new Map(answered.map(({ id, bytes }) => [id, sha256(bytes)])),
    );
    await expectReady(fleet, [...slow.map(({ id }) => id), ...sent]);
    await expectConsistent(fleet);
  });
});
