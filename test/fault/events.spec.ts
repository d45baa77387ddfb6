import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { FaultRule } from '#libs/gcp-emulator';
import { put } from '../e2e/stack.js';
import { NAMES, PROJECT } from '../../libs/testing/src/emulators.js';
import { FaultRules } from '../support/fault-rules.js';
import { Fleet } from '../support/fleet.js';
import { expectConsistent, expectReady, hurryTasks, requestUpload, rows, upload } from './uploads.js';
import { until } from '../../libs/testing/src/until.js';

const TOPIC = `projects/${PROJECT}/topics/${NAMES.subscription}`;
const COMPLETE = 'mutation ($id: ID!) { completeUpload(assetId: $id) { status } }';

describe('faulty object events (real: an api and two workers as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  let faults: FaultRules;

  beforeAll(async () => {
    fleet = await Fleet.start({ workers: 2, env: { LOG_LEVEL: 'debug' } });
    faults = new FaultRules(fleet.emulators.gcs.url);
  });
  afterEach(() => faults.clear());
  afterAll(() => fleet[Symbol.asyncDispose]());

  const injectFault = (id: string, action: FaultRule['action']) =>
    faults.add({ match: { bucket: NAMES.incomingBucket, keyPrefix: id }, times: 1, action });
  const untilHit = (rule: string) =>
    until('the fault rule is hit', async () => ((await faults.hits(rule)) > 0 ? true : null));
  const finalized = (objectId: string, more: Record<string, string> = {}) => ({
    eventType: 'OBJECT_FINALIZE',
    payloadFormat: 'JSON_API_V1',
    bucketId: NAMES.incomingBucket,
    objectId,
    objectGeneration: '1',
    ...more,
  });
  /** Waits for a log line that contains all parts. */
  const logged = (...parts: string[]) =>
    until(`a line has ${parts.join(' and ')}`, () =>
      fleet.logs.split('\n').some((line) => parts.every((part) => line.includes(part))) ? true : null,
    );
  const isGone = (id: string) =>
    until('the late object is gone', async () => {
      const [there] = await fleet.emulators.client.bucket(NAMES.incomingBucket).file(id).exists();
      return there ? null : true;
    });

  it('handles an event that comes before its row is visible', async () => {
    const { id, ticket } = await requestUpload(fleet, 'too early');
    const [row] = await rows(fleet, 'delete from media_assets where asset_id = $1 returning *', [id]);
    expect(await put(ticket, 'too early')).toBe(200);
    await logged('object finalized', id, '"early"');
    // No task checks this asset during the test: only a redelivery of the event can complete the upload.
    await rows(
      fleet,
      `insert into media_assets select * from jsonb_populate_record(null::media_assets,
         $1::jsonb || jsonb_build_object('next_check_at', now() + interval '1 hour'))`,
      [JSON.stringify(row)],
    );
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('handles an event that is delivered twice', async () => {
    const { id, ticket } = await requestUpload(fleet, 'doubled');
    await injectFault(id, { events: 'double' });
    expect(await put(ticket, 'doubled')).toBe(200);
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('handles an event that is delivered six times at once', async () => {
    const { id, ticket } = await requestUpload(fleet, 'six at once');
    expect(await put(ticket, 'six at once')).toBe(200);
    await Promise.all(Array.from({ length: 5 }, () => faults.forge(TOPIC, finalized(id))));
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('handles an event that comes after the event of a later upload', async () => {
    const [first, second] = [await requestUpload(fleet, 'first'), await requestUpload(fleet, 'second')];
    // Not `reorder`: two workers may handle consecutive events at the same time.
    const rule = await injectFault(first.id, { events: 'delay' });
    expect(await put(first.ticket, 'first')).toBe(200);
    await untilHit(rule);
    expect(await put(second.ticket, 'second')).toBe(200);
    await expectReady(fleet, [second.id]);
    await faults.clear();
    await expectReady(fleet, [first.id]);
    const received = await rows<{ asset_id: string }>(
      fleet,
      `select asset_id from domain_events where type = 'asset.received' and asset_id = any($1) order by id`,
      [[first.id, second.id]],
    );
    expect(received.map(({ asset_id: id }) => id)).toEqual([second.id, first.id]);
    await expectConsistent(fleet);
  });

  it('completes an upload without its event when the client calls completeUpload', async () => {
    const { id, ticket } = await requestUpload(fleet, 'lost, completed');
    const rule = await injectFault(id, { events: 'lose' });
    expect(await put(ticket, 'lost, completed')).toBe(200);
    await untilHit(rule);
    await fleet.query(COMPLETE, { id });
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('completes an upload without its event by a task', async () => {
    const { id, ticket } = await requestUpload(fleet, 'lost, swept');
    const rule = await injectFault(id, { events: 'lose' });
    expect(await put(ticket, 'lost, swept')).toBe(200);
    await untilHit(rule);
    await hurryTasks(fleet);
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('ignores an event that comes after completeUpload and READY', async () => {
    const { id, ticket } = await requestUpload(fleet, 'held back');
    const rule = await injectFault(id, { events: 'delay' });
    expect(await put(ticket, 'held back')).toBe(200);
    await untilHit(rule);
    await fleet.query(COMPLETE, { id });
    await expectReady(fleet, [id]);
    await isGone(id);
    await faults.clear();
    await logged('object finalized', id, 'nothing-there');
    await expectConsistent(fleet);
  });

  it('handles forged events: for missing bytes, of another type, bucket or generation, for unknown keys', async () => {
    const { id, ticket } = await requestUpload(fleet, 'forged before');
    const never = '01890a5d-ac96-774b-bcce-b302099a8057';
    const forged = [
      finalized(id),
      finalized(id, { eventType: 'OBJECT_DELETE' }),
      finalized(id, { eventType: 'OBJECT_METADATA_UPDATE' }),
      finalized(id, { bucketId: NAMES.contentBucket }),
      finalized(id, { objectGeneration: 'none' }),
      finalized(never),
      finalized('../etc/passwd'),
      { eventType: 'OBJECT_FINALIZE' },
    ];
    for (const attributes of forged) await faults.forge(TOPIC, attributes);
    await faults.forge(TOPIC, finalized(id), 'no JSON');
    await logged('object finalized', id, 'nothing-there');
    await logged('object finalized', never, 'nothing-there');
    await logged('without an upload', '../etc/passwd');
    for (const problem of ['another bucket', 'not a number', 'attribute is missing', 'payload is not JSON'])
      await logged('event became a dead letter', problem);
    expect(
      await rows(fleet, `select source, asset_id, state, count(*)::int from dead_letters group by 1, 2, 3`),
    ).toEqual([{ source: 'object-events', asset_id: null, state: 'OPEN', count: 4 }]);
    expect(await rows(fleet, 'select status from media_assets where asset_id = $1', [id])).toEqual([
      { status: 'PENDING' },
    ]);
    expect(await put(ticket, 'forged before')).toBe(200);
    // The generation that storage reports counts, not the older generation that the forged event claims.
    await faults.forge(TOPIC, finalized(id));
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });

  it('deletes bytes that are sent after READY, after cancelling and after the deadline', async () => {
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
    await until('the third asset expires', async () =>
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

  it('completes forty uploads whose events are lost, duplicated, delayed and reordered', async () => {
    for (const [seed, action] of [{ events: 'lose' }, { events: 'double' }, { events: 'reorder' }].entries())
      await faults.add({ probability: 0.3, seed, action: action as FaultRule['action'] });
    await faults.add({ probability: 0.3, seed: 9, action: { events: 'delay', delayMs: 500 } });
    const ids = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        upload(fleet, `one of forty: ${index % 20}`, { subject: String(index) }),
      ),
    );
    await faults.clear();
    await hurryTasks(fleet);
    await expectReady(fleet, ids);
    await expectConsistent(fleet);
  });

  it('stops workers in time while storage hangs, and lets other workers take over', async () => {
    const { id, ticket } = await requestUpload(fleet, 'in the middle');
    const match = { bucket: NAMES.incomingBucket, keyPrefix: id, method: 'GET' };
    const rule = await faults.add({ match, action: { delayMs: 3_600_000 } });
    expect(await put(ticket, 'in the middle')).toBe(200);
    await untilHit(rule);
    expect(await Promise.all(fleet.workers.map((worker) => worker.end()))).toEqual([0, 0]);
    await faults.clear();
    await fleet.addWorker();
    await expectReady(fleet, [id]);
    await expectConsistent(fleet);
  });
});
