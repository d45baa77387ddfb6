import { contentKey } from '#libs/domain';
import { put, type Ticket } from '../../e2e/stack.js';
import { NAMES } from '../../../libs/testing/src/emulators.js';
import { until } from '../../../libs/testing/src/until.js';
import { assetStates, requestUpload } from '../uploads.js';
import { filesOf, otherBytes, sumOf, type TestFile } from './files.js';
import { beginOutage } from './outages.js';
import type { Kill, Schedule, SideEffect } from './schedule.js';
import type { Stage } from './stage.js';

const HOUR_MS = 3_600_000;

/** A file whose upload was requested. The ticket is null if its owner had the bytes already. */
export interface Asked extends TestFile {
  readonly id: string;
  readonly ticket: Ticket | null;
}

/** Plays a schedule. At the end all dependencies are up again, and unfinished work waits for time to pass. */
export async function play(stage: Stage, schedule: Schedule): Promise<Asked[]> {
  const files = await filesOf(schedule, stage.clamd !== null);
  const early = await ask(stage, files.slice(0, schedule.early.length));
  const isHeld = await arm(stage, schedule.kill);
  await send(stage, early);
  await until('the worker is held, or is idle', async () =>
    (await isHeld()) || (await isIdle(stage, early)) ? true : null,
  );
  await replaceWorker(stage, schedule.kill);
  await sendAgain(early);

  const late = await ask(stage, files.slice(schedule.early.length));
  const outage = await beginOutage(schedule.outage, stage);
  await send(stage, late);
  await until('the worker meets the outage, or is idle', async () =>
    (await outage.isMet()) || (await isIdle(stage, late)) ? true : null,
  );
  const asked = [...early, ...late];
  if (schedule.isKilledInOutage) {
    await stage.worker.end('SIGKILL');
    await stage.time.passLocks();
  }
  await outage.end();
  await stage.faults.clear();
  if (!stage.worker.isRunning) stage.worker = await stage.startWorker();
  await stage.time.passDeadlines(asked.filter(({ kind }) => kind === 'unsent').map(({ id }) => id));
  return asked;
}

async function ask(stage: Stage, files: readonly TestFile[]): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const file of files) {
    const { subject, mimeType, bytes, kind } = file;
    const { id, ticket } = await requestUpload(stage.fleet, bytes, { subject, mimeType });
    asked.push({ ...file, id, ticket });
    if (kind !== 'planted') continue;
    const target = { bucket: NAMES.contentBucket, key: contentKey(sumOf(file)) };
    await stage.fleet.emulators.put(target, otherBytes(bytes), {
      contentType: 'text/plain',
    });
  }
  return asked;
}

/** Sends the bytes, with the planned faults of their events. */
async function send(stage: Stage, asked: readonly Asked[]): Promise<void> {
  for (const { id, event } of asked) {
    const match = { bucket: NAMES.incomingBucket, keyPrefix: id };
    if (event !== 'on-time') await stage.faults.add({ match, times: 1, action: { events: event } });
  }
  await Promise.all(
    asked.map(async ({ id, ticket, sent, kind, subject }) => {
      if (ticket === null || kind === 'unsent') return;
      // A storage outage does not affect these PUTs: client retries are tested elsewhere.
      const status = await put(ticket, sent);
      if (status !== 200) throw new Error(`PUT answered ${status}`);
      if (kind === 'deleted') {
        await stage.fleet.query('mutation ($id: ID!) { deleteAsset(id: $id) { id } }', { id }, subject);
      }
    }),
  );
}

/** Repeats PUTs with other bytes. Storage refuses them while the first object exists; later ones belong to no upload. */
async function sendAgain(asked: readonly Asked[]): Promise<void> {
  for (const { ticket, sent, kind, isSentAgain } of asked) {
    if (ticket === null || kind === 'unsent' || !isSentAgain) continue;
    const status = await put(ticket, otherBytes(sent));
    if (status !== 200 && status !== 412) throw new Error(`PUT answered ${status}`);
  }
}

/** Whether all assets whose events were delivered have a final status. */
async function isIdle({ fleet }: Stage, asked: readonly Asked[]): Promise<boolean> {
  const told = asked.filter(
    ({ kind, event }) => kind !== 'unsent' && (event === 'on-time' || event === 'double'),
  );
  const states = await assetStates(
    fleet,
    told.map(({ id }) => id),
  );
  return states.every(({ status }) => status !== 'PENDING' && status !== 'PROCESSING');
}

/** Holds the worker at a side effect. The returned function tells whether the worker is held. */
async function arm(stage: Stage, { effect, passing, side }: Kill): Promise<() => Promise<boolean>> {
  if ('statements' in effect) return armStatement(stage, effect, passing, side);
  const { faults } = stage;
  const match = { ...effect, api: 'json' as const };
  if (passing > 0) await faults.add({ match, times: passing, action: { delayMs: 0 } });
  const isHit = (rule: string) => async () => (await faults.hits(rule)) > 0;
  if (side === 'before') return isHit(await faults.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
  const done = await faults.add({ match, times: 1, action: { cutAfterBytes: 0, direction: 'response' } });
  // Delays the retry by which the worker would learn the outcome.
  await faults.add({ match, action: { delayMs: HOUR_MS } });
  return isHit(done);
}

function armStatement(
  { proxy }: Stage,
  { statements }: Extract<SideEffect, { statements: readonly string[] }>,
  passing: number,
  side: Kill['side'],
): () => Promise<boolean> {
  const hold = proxy.hold({ what: side === 'before' ? 'request' : 'answer', after: statements, passing });
  return () => Promise.resolve(hold.isHolding);
}

async function replaceWorker(stage: Stage, { lateCalls, isCollected }: Kill): Promise<void> {
  await stage.worker.end('SIGKILL');
  stage.proxy.forget();
  if (lateCalls === 'before') await stage.faults.clear();
  if (isCollected) await stage.time.passPins();
  await stage.time.passLocks();
  stage.worker = await stage.startWorker();
  if (lateCalls === 'after') await stage.faults.clear();
}
