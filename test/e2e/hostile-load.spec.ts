import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { signJwt } from '../../libs/testing/src/environment.js';
import { Fleet } from '../support/fleet.js';
import { until } from '../../libs/testing/src/until.js';
import { BOMBS, endOf } from './hostile-cases.js';
import { inParallel, inputFor, outcomeOf, send, upload } from './hostile-uploads.js';

/** Owners that each upload every bomb. No owner can reuse the READY asset of another, so the worker reads all bytes. */
const OWNERS = Number(process.env.HOSTILE_LOAD_OWNERS ?? 4);
const AT_A_TIME = 8;
const EVERY_MS = 50;
const POLL_MS = 500;
const READER = new URL('../support/steady-reader.mjs', import.meta.url);
const QUIET_MS = 20_000;
const MAX_PARENT_BYTES = 300 * 2 ** 20;

/** Peak resident memory of a process in bytes (VmHWM, https://man7.org/linux/man-pages/man5/proc_pid_status.5.html). */
function peakMemory(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );

/** Peak resident memory in bytes, or 0 if the process has exited. */
function peakIfRunning(pid: number): number {
  try {
    return peakMemory(pid);
  } catch {
    return 0;
  }
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;

describe('resource exhaustion (real: an api and a worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  let database: pg.Client;
  beforeAll(async () => {
    fleet = await Fleet.start({ env: { RATE_LIMIT_PER_MINUTE: '0' } });
    database = new pg.Client({ connectionString: fleet.database.url });
    await database.connect();
  });
  afterAll(async () => {
    await database.end();
    await fleet[Symbol.asyncDispose]();
  });

  /** Asks the database, because requests to the api would add load. */
  async function allEnded(): Promise<true | null> {
    await delay(POLL_MS);
    const { rowCount } = await database.query(
      "select from media_assets where status in ('PENDING', 'PROCESSING') limit 1",
    );
    return rowCount === 0 ? true : null;
  }

  /** Returns the 99th percentile in milliseconds of `asset` queries sent 20 times a second while `work` runs. */
  async function p99While(id: string, work: () => Promise<unknown>): Promise<number> {
    const authorization = `Bearer ${await signJwt('60')}`;
    const body = JSON.stringify({
      query: 'query ($id: ID!) { asset(id: $id) { id status } }',
      variables: { id },
    });
    const init = { method: 'POST', headers: { 'content-type': 'application/json', authorization }, body };
    const url = `http://127.0.0.1:${fleet.apis[0]!.port}/graphql`;
    const reader = new Worker(READER, { workerData: { url, init, everyMs: EVERY_MS } });
    try {
      await work();
      reader.postMessage('stop');
      const [{ times, answers }] = (await once(reader, 'message')) as [
        { times: number[]; answers: string[] },
      ];
      expect(answers.map((answer) => JSON.parse(answer) as object)).toEqual([
        { data: { asset: { id, status: 'READY' } } },
      ]);
      return times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1]!;
    } finally {
      await reader.terminate();
    }
  }

  it('ends bombs with their reason codes and disturbs neither the worker nor a reader', async () => {
    const { id } = await upload(fleet, inputFor('a reader’s', 'text/plain'), 'a reader’s', '60');
    const quiet = await p99While(id, () => delay(QUIET_MS));
    // All bytes are uploaded before the worker starts, so that uploads do not affect the measurement.
    await fleet.workers[0]!.end();
    const files = await Promise.all(
      BOMBS.map(async ({ name, type, end, make }) => {
        const bytes = await make();
        return { name, end, bytes, input: inputFor(bytes, type) };
      }),
    );
    const bombs = Array.from({ length: OWNERS * BOMBS.length }, (_, index) => ({
      ...files[index % BOMBS.length]!,
      owner: String(61 + Math.floor(index / BOMBS.length)),
    }));
    const sent = await inParallel(bombs, AT_A_TIME, async ({ name, end, input, bytes, owner }) => ({
      ...{ name, end, owner },
      id: await send(fleet, input, bytes, owner),
    }));
    const worker = await fleet.addWorker();
    const before = worker.pid;
    const childPeaks = new Map<number, number>();
    let parentPeak = 0;
    const watch = setInterval(() => {
      parentPeak = Math.max(parentPeak, peakIfRunning(worker.pid));
      for (const pid of childrenOf(worker.pid))
        childPeaks.set(pid, Math.max(childPeaks.get(pid) ?? 0, peakIfRunning(pid)));
    }, 200);
    try {
      const loaded = await p99While(id, () => until('all bombs have ended', allEnded));
      const ends = await inParallel(sent, AT_A_TIME, async ({ name, id: bomb, owner }) => [
        name,
        endOf(await outcomeOf(fleet, bomb, owner)),
      ]);
      const most = Math.max(...childPeaks.values());
      process.stdout.write(
        `asset(id) 20/s, p99: ${quiet.toFixed(1)} ms, with ${ends.length} bombs ${loaded.toFixed(1)} ms (${(loaded / quiet).toFixed(1)} times); ` +
          `worker ${mebibytes(parentPeak)}, its ${childPeaks.size} children up to ${mebibytes(most)}\n`,
      );
      expect(ends).toEqual(sent.map(({ name, end }) => [name, end]));
      expect([worker.isRunning, worker.pid]).toEqual([true, before]);
      expect(parentPeak).toBeGreaterThan(0);
      expect(parentPeak).toBeLessThan(MAX_PARENT_BYTES);
    } finally {
      clearInterval(watch);
    }
  });
});
