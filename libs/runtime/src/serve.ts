import { isWaiting } from './wait-for.js';

/** A component that runs until it is closed and then finishes the work in progress. */
export interface Service {
  close(): Promise<void>;
}

/**
 * Runs a process: starts a service and notifies the parent process when it is ready. On SIGTERM, SIGINT or the parent's
 * exit it drains the service and exits with 0; it exits at once if the start still waits for a dependency ({@link
 * isWaiting}). A failed start or close, or a drain longer than `drainMs` milliseconds, prints one line to standard
 * error and exits with 1.
 */
export async function serve(start: () => Promise<Service>, drainMs: number): Promise<void> {
  const starting = start();
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    // The service has started no work yet, and its start may never finish.
    if (isWaiting()) process.exit(0);
    setTimeout(() => fail(`not drained within ${drainMs} ms`), drainMs).unref();
    starting.then((service) => service.close()).then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop).on('SIGINT', stop).on('disconnect', stop);
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
