import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { FaultRule } from '#libs/gcp-emulator';
import { put } from '../e2e/stack.js';
import { NAMES, PROJECT } from '../integration/storage/emulators.js';
import { FaultDoor } from '../support/fault-door.js';
import { Fleet } from '../support/fleet.js';
import { expectConsistent, expectReady, hurrySweepers, requestUpload, rows, upload } from './uploads.js';
import { until } from '../support/until.js';

const TOPIC = `projects/${PROJECT}/topics/${NAMES.subscription}`;
const COMPLETE = 'mutation ($id: ID!) { completeUpload(assetId: $id) { status } }';

describe('events that come wrong (real: an api and two workers as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  let door: FaultDoor;

  beforeAll(async () => {
    fleet = await Fleet.start({ workers: 2, env: { LOG_LEVEL: 'debug' } });
    door = new FaultDoor(fleet.emulators.gcs.url);
  });
  afterEach(() => door.clear());
  afterAll(() => fleet[Symbol.asyncDispose]());

  const strike = (id: string, action: FaultRule['action']) =>
    door.add({ match: { bucket: NAMES.incomingBucket, keyPrefix: id }, times: 1, action });
  const struck = (rule: string) =>
    until('the event was struck', async () => ((await door.hits(rule)) > 0 ? true : null));
  const finalized = (objectId: string, more: Record<string, string> = {}) => ({
    eventType: 'OBJECT_FINALIZE',
    payloadFormat: 'JSON_API_V1',
    bucketId: NAMES.incomingBucket,
    objectId,
    objectGeneration: '1',
    ...more,
  });
  /** Waits for a worker's log line with all of these in it. */
  const logged = (...parts: string[]) =>
    until(`a line has ${parts.join(' and ')}`, () =>
      fleet.logs.split('\n').some((line) => parts.every((part) => line.includes(part))) ? true : null,
    );
  const isGone = (id: string) =>
    until('the late object is gone', async () => {
      const [there] = await fleet.emulators.client.bucket(NAMES.incomingBucket).file(id).exists();
      return there ? null : true;
    });

  it('before the row can be seen', async () => {
    const { id, ticket } = await requestUpload(fleet, 'too early');
    const [row] = await rows(fleet, 'delete from media_assets where asset_id = $1 returning *', [id]);
    expect(await put(ticket, 'too early')).toBe(200);
    await logged('object finalized', id, '"early"');
    // No sweeper looks in the time of this test: it is the event that comes again.
    await rows(
      fleet,
      `insert into media_assets select * from jsonb_populate_record(null::media_assets,
         $1::jsonb || jsonb_build_object('next_check_at', now() + interval '1 hour'))`,
      [JSON.stringify(row)],
    );
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('twice', async () => {
    const { id, ticket } = await requestUpload(fleet, 'doubled');
    await strike(id, { events: 'double' });
    expect(await put(ticket, 'doubled')).toBe(200);
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('six times at once', async () => {
    const { id, ticket } = await requestUpload(fleet, 'six at once');
    expect(await put(ticket, 'six at once')).toBe(200);
    await Promise.all(Array.from({ length: 5 }, () => door.forge(TOPIC, finalized(id))));
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('after the event of a later upload', async () => {
    const [first, second] = [await requestUpload(fleet, 'first'), await requestUpload(fleet, 'second')];
    // Not `reorder`: events that come one right after the other are two workers' at once.
    const rule = await strike(first.id, { events: 'delay' });
    expect(await put(first.ticket, 'first')).toBe(200);
    await struck(rule);
    expect(await put(second.ticket, 'second')).toBe(200);
    await expectReady(fleet, [second.id]);
    await door.clear();
    await expectReady(fleet, [first.id]);
    const received = await rows<{ asset_id: string }>(
      fleet,
      `select asset_id from domain_events where type = 'asset.received' and asset_id = any($1) order by id`,
      [[first.id, second.id]],
    );
    expect(received.map(({ asset_id: id }) => id)).toEqual([second.id, first.id]);
    await expectConsistent(fleet);
  });

  it('not at all, and the client says that it is done', async () => {
    const { id, ticket } = await requestUpload(fleet, 'lost, completed');
    const rule = await strike(id, { events: 'lose' });
    expect(await put(ticket, 'lost, completed')).toBe(200);
    await struck(rule);
    await fleet.query(COMPLETE, { id });
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('not at all, and nobody says anything', async () => {
    const { id, ticket } = await requestUpload(fleet, 'lost, swept');
    const rule = await strike(id, { events: 'lose' });
    expect(await put(ticket, 'lost, swept')).toBe(200);
    await struck(rule);
    await hurrySweepers(fleet);
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('late, after completeUpload and READY', async () => {
    const { id, ticket } = await requestUpload(fleet, 'held back');
    const rule = await strike(id, { events: 'delay' });
    expect(await put(ticket, 'held back')).toBe(200);
    await struck(rule);
    await fleet.query(COMPLETE, { id });
    await expectReady(fleet, [id]);
    await isGone(id);
    await door.clear();
    await logged('object finalized', id, 'nothing-there');
    await expectConsistent(fleet);
  });

  it('made up: for bytes that have not come, of another type, bucket or generation, for unknown keys', async () => {
    const { id, ticket } = await requestUpload(fleet, 'forged before');
    const never = '01890a5d-ac96-774b-bcce-b302099a8057';
    const forged = [
      finalized(id),
      finalized(id, { eventType: 'OBJECT_DELETE' }),
      finalized(id, { bucketId: NAMES.contentBucket }),
      finalized(id, { objectGeneration: 'none' }),
      finalized(never),
      finalized('../etc/passwd'),
      { eventType: 'OBJECT_FINALIZE' },
    ];
    for (const attributes of forged) await door.forge(TOPIC, attributes);
    await door.forge(TOPIC, finalized(id), 'no JSON');
    await logged('object finalized', id, 'nothing-there');
    await logged('object finalized', never, 'nothing-there');
    await logged('nobody asked for', '../etc/passwd');
    for (const problem of ['another bucket', 'not a number', 'attribute is missing', 'payload is not JSON'])
      await logged('event became a dead letter', problem);
    expect(
      await rows(fleet, `select source, asset_id, state, count(*)::int from dead_letters group by 1, 2, 3`),
    ).toEqual([{ source: 'object-events', asset_id: null, state: 'OPEN', count: 4 }]);
    expect(await rows(fleet, 'select status from media_assets where asset_id = $1', [id])).toEqual([
      { status: 'PENDING' },
    ]);
    expect(await put(ticket, 'forged before')).toBe(200);
    // Storage's own answer counts, not the older generation that is claimed here.
    await door.forge(TOPIC, finalized(id));
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('for what is sent once more after READY, after cancelling and after the deadline', async () => {
    const ready = await requestUpload(fleet, 'sent again');
    expect(await put(ready.ticket, 'sent again')).toBe(200);
    await expectReady(fleet, [ready.id]);
    await expectConsistent(fleet);
    const cancelled = await requestUpload(fleet, 'cancelled');
    await fleet.query('mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }', { id: cancelled.id });
    const expired = await requestUpload(fleet, 'expired');
    await rows(
      fleet,
      `update media_assets set upload_deadline_at = now(), next_check_at = now() where asset_id = $1`,
      [expired.id],
    );
    const statuses = () =>
      rows(fleet, 'select status, version from media_assets where asset_id = any($1) order by asset_id', [
        [ready.id, cancelled.id, expired.id],
      ]);
    const ends = [
      { status: 'READY', version: 2 },
      { status: 'CANCELLED', version: 1 },
      { status: 'EXPIRED', version: 1 },
    ];
    await until('the third expires', async () =>
      JSON.stringify(await statuses()) === JSON.stringify(ends) ? true : null,
    );
    for (const [{ id, ticket }, bytes] of [
      [ready, 'sent again'],
      [cancelled, 'cancelled'],
      [expired, 'expired'],
    ] as const) {
      expect(await put(ticket, bytes)).toBe(200);
      await isGone(id);
    }
    expect(await statuses()).toEqual(ends);
    await expectConsistent(fleet);
  });

  it('lost, doubled, late and out of order for forty uploads', async () => {
    for (const [seed, action] of [{ events: 'lose' }, { events: 'double' }, { events: 'reorder' }].entries())
      await door.add({ probability: 0.3, seed, action: action as FaultRule['action'] });
    await door.add({ probability: 0.3, seed: 9, action: { events: 'delay', delayMs: 500 } });
    const ids = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        upload(fleet, `one of forty: ${index % 20}`, { subject: String(index) }),
      ),
    );
    await door.clear();
    await hurrySweepers(fleet);
    await expectReady(fleet, ids);
    await expectConsistent(fleet);
  });

  it('to workers that stop while storage says nothing: they end in time, and others have it', async () => {
    const { id, ticket } = await requestUpload(fleet, 'in the middle');
    const match = { bucket: NAMES.incomingBucket, keyPrefix: id, method: 'GET' };
    const rule = await door.add({ match, action: { delayMs: 3_600_000 } });
    expect(await put(ticket, 'in the middle')).toBe(200);
    await struck(rule);
    expect(await Promise.all(fleet.workers.map((worker) => worker.end()))).toEqual([0, 0]);
    await door.clear();
    await fleet.addWorker();
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });
});
