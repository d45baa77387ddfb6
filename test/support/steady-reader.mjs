/**
 * A thread that sends one request at a steady pace, whether or not answers are late, until it is told to stop; then it
 * tells how many milliseconds each answer took, and what answers there were. It shares no event loop with whoever makes the load.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

const { url, init, everyMs } = workerData;
const stopped = once(parentPort, 'message').then(() => true);
const times = [];
const answers = new Set();

async function ask() {
  const began = performance.now();
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(30_000) });
  answers.add(await response.text());
  times.push(performance.now() - began);
}

const asked = [];
do asked.push(ask().catch((error) => answers.add(String(error))));
while (!(await Promise.race([stopped, delay(everyMs, false)])));
await Promise.all(asked);
parentPort.postMessage({ times, answers: [...answers] });
