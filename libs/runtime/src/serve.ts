import { isWaiting } from './wait-for.js';

/** Something that runs until it is told to stop, and then finishes what it has begun. */
export interface Service {
  close(): Promise<void>;
}

/**
 * The life of a process: starts a service, tells a parent process when it serves, and on SIGTERM, SIGINT or the
 * parent's death drains it and exits 0; at once while it waits for what it depends on ({@link isWaiting}). A start or an end that
 * fails, or an end that takes longer than `drainMs`, is one line on standard error and exit code 1.
 */
export async function serve(start: () => Promise<Service>, drainMs: number): Promise<void> {
  const starting = start();
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    // It has begun nothing yet, and the end of its start may never come.
    if (isWaiting()) process.exit(0);
    setTimeout(() => fail(`not drained within ${drainMs} ms`), drainMs).unref();
    starting.then((service) => service.close()).then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('disconnect', stop);
  try {
    await starting;
    process.send?.({ type: 'ready' });
  } catch (error) {
    fail(error);
  }
}

function fail(error: unknown): never {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
