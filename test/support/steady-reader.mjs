/**
 * A thread that sends one request at a steady pace, even if answers are late, until it receives a message. Then it posts
 * the duration of each answer in milliseconds and the distinct answers. It shares no event loop with the code that makes
 * the load.
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
