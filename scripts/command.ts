/** An invalid command line; {@link run} prints the usage with its message. */
export class UsageError extends Error {}

export const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * Runs a command of the project. `--help` prints `help`, whose first line is the usage. A failure prints one line on standard
 * error, plus the usage if the command line was invalid, and sets exit code 1.
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
    // gRPC errors have a numeric code.
    const { code } = error as { code?: unknown };
    if (error instanceof UsageError || String(code).startsWith('ERR_PARSE_ARGS'))
      console.error(help.trim().split('\n', 1)[0]);
    process.exitCode = 1;
  }
}

/**
 * Imports compiled modules.
 * @throws Error that names the build command, if dist/ is missing
 */
export async function built<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error(`Build the project first: npm run build (${reason(error)})`, { cause: error });
  }
}
