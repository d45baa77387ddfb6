import { type Config, readConfig } from './config.js';
import { StartFailure } from './data-folder.js';
import type { Terminal } from './logs.js';
import { type Entries, type Running, Supervisor } from './supervisor.js';
import { signToken } from './token.js';

/** npm forwards signals that the terminal has already sent: signals within this time count as one request. */
const REPEAT_MS = 1_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Exit code that shells use for a process ended by Ctrl-C. */
const FORCED_CODE = 130;
/** Subject of the operator's token. */
const OPERATOR = '1000';

/**
 * Runs the embedded stack until a signal or the end of its launcher, and then sets the exit code of the process: 0
 * after a clean stop, 130 if a second request forced the stop, 1 with one sentence on stderr if the stack cannot run.
 */
export async function run(entries: Entries, argv: readonly string[]): Promise<void> {
  // The readers of the output may end before this process.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  let config: Config;
  try {
    config = readConfig(process.env, argv);
  } catch (error) {
    return finish(error);
  }
  const terminal: Terminal = { verbose: config.verbose, line: (text) => process.stdout.write(text + '\n') };

  let stopAt: number | undefined;
  let forced = false;
  const stop = async (failure?: unknown) => {
    stopAt = Date.now();
    await supervisor.stop();
    finish(failure);
    if (forced) process.exitCode = FORCED_CODE;
  };
  const supervisor = new Supervisor(config, entries, terminal, (error) => void stop(error));
  const onSignal = () => {
    if (stopAt === undefined) {
      terminal.line('Stopping …');
      void stop();
    } else if (Date.now() - stopAt > REPEAT_MS) {
      forced = true;
      supervisor.force();
    }
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  process.once('disconnect', onSignal);

  try {
    const running = await supervisor.start();
    if (stopAt === undefined) terminal.line(await summary(config, running));
  } catch (error) {
    // A stop during the start makes the start fail too, which needs no message.
    if (stopAt === undefined) await stop(error);
  }
}

async function summary({ ports }: Config, { dataFolder, secrets, userToken }: Running): Promise<string> {
  const url = `http://127.0.0.1:${ports.api}/graphql`;
  const operatorToken = await signToken(secrets.jwtSecret, { subject: OPERATOR, admin: true });
  return [
    '',
    `Playground   ${url}`,
    `User token   ${userToken}`,
    `Admin token  ${operatorToken}`,
    `Data         ${dataFolder}`,
    '',
    `ready ${url}`,
  ].join('\n');
}

/**
 * Sets the exit code instead of exiting, so that pending output is flushed. No handle keeps the process alive after this.
 */
function finish(failure?: unknown): void {
  if (failure !== undefined) process.stderr.write(`${sentence(failure)}\n`);
  process.exitCode = failure === undefined ? 0 : 1;
  if (process.connected) process.disconnect();
}

function sentence(failure: unknown): string {
  if (failure instanceof StartFailure) return failure.message;
  if ((failure as NodeJS.ErrnoException).code === 'ENOSPC') return 'The disk is full';
  return failure instanceof Error ? (failure.stack ?? failure.message) : String(failure);
}
