/** A command line that makes no sense; the usage is shown with it. */
export class UsageError extends Error {}

export const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * Runs a command of the project. `--help` prints `help`, whose first line is the usage; a failure is one line on standard
 * error, with the usage when the command line was wrong, and exit code 1.
 */
export async function run(help: string, command: () => void | Promise<void>): Promise<void> {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(help.trim());
    return;
  }
  try {
    await command();
  } catch (error) {
    console.error(reason(error));
    // A number, where it comes from gRPC.
    const { code } = error as { code?: unknown };
    if (error instanceof UsageError || String(code).startsWith('ERR_PARSE_ARGS'))
      console.error(help.trim().split('\n', 1)[0]);
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
