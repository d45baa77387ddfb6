/** Load generator: sends requests over a fixed number of connections as fast as answers arrive. A child process. */
import { Agent, request as send } from 'node:http';
import type { Assignment, LoadRequest, Outcome } from './load.ts';

const TIMEOUT_MS = 30_000;

type Sendable = Omit<LoadRequest, 'body'> & { readonly body?: string | Buffer };

/** Sends a request and returns a description of its failure, or null. */
function exchange(
  agent: Agent,
  origin: URL,
  { method, path, headers, body }: Sendable,
): Promise<string | null> {
  return new Promise((resolve) => {
    const request = send(
      { agent, host: origin.hostname, port: origin.port, method, path, headers, timeout: TIMEOUT_MS },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => (text += part));
        response.once('end', () => {
          const isFine = response.statusCode === 200 && !text.includes('"errors":[');
          resolve(isFine ? null : `${response.statusCode} ${text.slice(0, 300)}`);
        });
        response.once('error', (error) => resolve(error.message));
      },
    );
    request.once('timeout', () => request.destroy(new Error('no answer')));
    request.once('error', (error) => resolve(error.message));
    request.end(body);
  });
}

async function run({ origin, requests, bodies = [], connections, seconds }: Assignment): Promise<Outcome> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const to = new URL(origin);
  const started = performance.now();
  const end = seconds === undefined ? Infinity : started + seconds * 1000;
  let next = 0;
  let answered = 0;
  let slowest = 0;
  let failure: string | null = null;
  const connection = async () => {
    while (performance.now() < end && failure === null) {
      const index = next++;
      if (seconds === undefined && index >= requests.length) return;
      const body = bodies[index % bodies.length];
      const sent = performance.now();
      failure ??= await exchange(agent, to, { body, ...requests[index % requests.length]! });
      slowest = Math.max(slowest, (performance.now() - sent) / 1000);
      answered += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  agent.destroy();
  return { answered, seconds: (performance.now() - started) / 1000, slowest, failure };
}

process.on('message', (assignment: Assignment) => {
  void run(assignment).then((outcome) => process.send?.(outcome));
});
process.on('disconnect', () => process.exit());
