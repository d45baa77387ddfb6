import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Fleet, signJwt } from '../support/fleet.js';
import { BOMBS, endOf } from './hostile-cases.js';
import { inParallel, inputFor, upload } from './hostile-uploads.js';

const AT_A_TIME = 8;
const EVERY_MS = 50;
/** Those who upload ask seldom: what is measured is the work that they make. */
const POLL_MS = 500;
const READER = new URL('../support/steady-reader.mjs', import.meta.url);
/** Of each of the two measurements. */
const SECONDS = Number(process.env.HOSTILE_LOAD_SECONDS ?? 10);
const MAX_PARENT_BYTES = 300 * 2 ** 20;

/** Kilobytes that a process says it has had, as bytes. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html */
function peakMemory(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );

/** Of a process that may end meanwhile. */
function peakIfThere(pid: number): number {
  try {
    return peakMemory(pid);
  } catch {
    return 0;
  }
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;

describe('bombs, eight at a time (real: an api and a worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start({ env: { RATE_LIMIT_PER_MINUTE: '0' } });
  }, 60_000);
  afterAll(() => fleet[Symbol.asyncDispose]());

  /** The 99th percentile of a reader who asks for an asset twenty times a second. */
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

  it('all end in their codes, and the worker and its reader never notice', async () => {
    const { id } = await upload(fleet, inputFor('a reader’s', 'text/plain'), 'a reader’s', '60');
    const worker = fleet.workers[0]!;
    const files = await Promise.all(
      BOMBS.map(async ({ name, type, make }) => {
        const bytes = await make();
        return { name, bytes, input: inputFor(bytes, type) };
      }),
    );
    const before = worker.pid;
    const childPeaks = new Map<number, number>();
    let parentPeak = 0;
    const watch = setInterval(() => {
      parentPeak = Math.max(parentPeak, peakIfThere(worker.pid));
      for (const pid of childrenOf(worker.pid))
        childPeaks.set(pid, Math.max(childPeaks.get(pid) ?? 0, peakIfThere(pid)));
    }, 200);
    try {
      const quiet = await p99While(id, () => delay(SECONDS * 1000));
      // Each round's are another owner's, so that all bytes are read anew.
      const ends: (readonly [name: string, end: string | undefined])[] = [];
      const loaded = await p99While(id, async () => {
        const end = Date.now() + SECONDS * 1000;
        for (let owner = 61; owner === 61 || Date.now() < end; owner++) {
          const outcomes = await inParallel(files, AT_A_TIME, async ({ name, input, bytes }) => {
            return [name, endOf(await upload(fleet, input, bytes, String(owner), POLL_MS))] as const;
          });
          ends.push(...outcomes);
        }
      });

      const most = Math.max(...childPeaks.values());
      process.stdout.write(
        `asset(id) 20/s, p99: ${quiet.toFixed(1)} ms, with ${ends.length} bombs ${loaded.toFixed(1)} ms (${(loaded / quiet).toFixed(1)} times); ` +
          `worker ${mebibytes(parentPeak)}, its ${childPeaks.size} children up to ${mebibytes(most)}\n`,
      );
      expect(ends).toEqual(
        ends.map((_, index) => {
          const { name, end } = BOMBS[index % BOMBS.length]!;
          return [name, end];
        }),
      );
      expect([worker.isRunning, worker.pid]).toEqual([true, before]);
      expect(parentPeak).toBeGreaterThan(0);
      expect(parentPeak).toBeLessThan(MAX_PARENT_BYTES);
    } finally {
      clearInterval(watch);
    }
  }, 400_000);
});
