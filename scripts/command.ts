/** A command line that makes no sense; the usage is shown with it. */
export class UsageError extends Error {}

export const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Runs a command; what goes wrong is said in one line, with exit code 1. */
export async function run(usage: string, command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    console.error(reason(error));
    // A number, where it comes from gRPC.
    const { code } = error as { code?: unknown };
    if (error instanceof UsageError || String(code).startsWith('ERR_PARSE_ARGS'))
      console.error(`Usage: ${usage}`);
    process.exitCode = 1;
  }
}

/**
 * Loads what is built.
 * @throws Error with what to do when it is not
 */
export async function built<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(`This needs the project to be built: npm run build (${reason(error)})`, { cause: error });
  }
}
