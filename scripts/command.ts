/** A command line that makes no sense; the usage is shown with it. */
export class UsageError extends Error {}

export const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** Runs a command; what goes wrong is said in one line, with exit code 1. */
export async function run(usage: string, command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    console.error(reason(error));
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS')) console.error(`Usage: ${usage}`);
    process.exitCode = 1;
  }
}
