import { contentKey } from '#libs/domain';
import { put, type Ticket } from '../../e2e/stack.js';
import { NAMES } from '../../integration/storage/emulators.js';
import { until } from '../../support/until.js';
import { assetStates, requestUpload } from '../uploads.js';
import { filesOf, otherBytes, sumOf, type TestFile } from './files.js';
import { beginOutage } from './outages.js';
import type { Kill, Schedule, SideEffect } from './schedule.js';
import type { Stage } from './stage.js';

const HOUR_MS = 3_600_000;

/** A file that was asked for. Without a ticket where its owner had the bytes already. */
export interface Asked extends TestFile {
  readonly id: string;
  readonly ticket: Ticket | null;
}

/** Plays a schedule. In the end everything is up again; what is left to do is left to time. */
export async function play(stage: Stage, schedule: Schedule): Promise<Asked[]> {
  const files = await filesOf(schedule, stage.clamd !== null);
  const early = await ask(stage, files.slice(0, schedule.early.length));
  const isThere = await arm(stage, schedule.kill);
  await send(stage, early);
  await until('the worker dies, or has nothing to do', async () =>
    (await isThere()) || (await isIdle(stage, early)) ? true : null,
  );
  await replaceWorker(stage, schedule.kill);
  await sendAgain(early);

  const late = await ask(stage, files.slice(schedule.early.length));
  const outage = await beginOutage(schedule.outage, stage);
  await send(stage, late);
  await until('the outage is met, or there is nothing to do', async () =>
    (await outage.isMet()) || (await isIdle(stage, late)) ? true : null,
  );
  const asked = [...early, ...late];
  if (schedule.isKilledInOutage) {
    await stage.worker.end('SIGKILL');
    await stage.time.passLocks();
  }
  await outage.end();
  await stage.door.clear();
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
    const place = { bucket: NAMES.contentBucket, key: contentKey(sumOf(file)) };
    await stage.fleet.emulators.put(place, otherBytes(bytes), {
      contentType: 'text/plain',
    });
  }
  return asked;
}

/** Sends the bytes, with what becomes of their events. */
async function send(stage: Stage, asked: readonly Asked[]): Promise<void> {
  for (const { id, event } of asked) {
    const match = { bucket: NAMES.incomingBucket, keyPrefix: id };
    if (event !== 'on-time') await stage.door.add({ match, times: 1, action: { events: event } });
  }
  await Promise.all(
    asked.map(async ({ id, ticket, sent, kind, subject }) => {
      if (ticket === null || kind === 'unsent') return;
      // An outage of storage is met by clients as well, but not by these: how they try again is tested elsewhere.
      const status = await put(ticket, sent);
      if (status !== 200) throw new Error(`PUT answered ${status}`);
      if (kind === 'deleted') {
        await stage.fleet.query('mutation ($id: ID!) { deleteAsset(id: $id) { id } }', { id }, subject);
      }
    }),
  );
}

/** Refused while the first bytes are there; what is taken after that is nobody's. */
async function sendAgain(asked: readonly Asked[]): Promise<void> {
  for (const { ticket, sent, kind, isSentAgain } of asked) {
    if (ticket === null || kind === 'unsent' || !isSentAgain) continue;
    const status = await put(ticket, otherBytes(sent));
    if (status !== 200 && status !== 412) throw new Error(`PUT answered ${status}`);
  }
}

/** Whether all whose events came have settled. */
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

/** Arranges that the worker stands still at an effect; the function tells when it does. */
async function arm(stage: Stage, { effect, passing, side }: Kill): Promise<() => Promise<boolean>> {
  if ('statements' in effect) return armStatement(stage, effect, passing, side);
  const { door } = stage;
  const match = { ...effect, api: 'json' as const };
  if (passing > 0) await door.add({ match, times: passing, action: { delayMs: 0 } });
  const struck = (rule: string) => async () => (await door.hits(rule)) > 0;
  if (side === 'before') return struck(await door.add({ match, times: 1, action: { delayMs: HOUR_MS } }));
  const done = await door.add({ match, times: 1, action: { cutAfterBytes: 0, direction: 'response' } });
  // It is not to find out by another try.
  await door.add({ match, action: { delayMs: HOUR_MS } });
  return struck(done);
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
  if (lateCalls === 'before') await stage.door.clear();
  if (isCollected) await stage.time.passPins();
  await stage.time.passLocks();
  stage.worker = await stage.startWorker();
  if (lateCalls === 'after') await stage.door.clear();
}
