/** Something that runs until it is told to stop, and then finishes what it has begun. */
export interface Service {
  close(): Promise<void>;
}

/**
 * The life of a process: starts a service, tells a parent process when it serves, and on SIGTERM, SIGINT or the
 * parent's death drains it and exits 0; exits 1 when draining takes longer than `drainMs`. A start that fails is one
 * line on standard error and exit code 1.
 */
export async function serve(start: () => Promise<Service>, drainMs: number): Promise<void> {
  const starting = start();
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    setTimeout(() => process.exit(1), drainMs).unref();
    starting
      .then((service) => service.close())
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('disconnect', stop);
  try {
    await starting;
    process.send?.({ type: 'ready' });
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
