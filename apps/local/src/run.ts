import { type Config, readConfig } from './config.js';
import { StartFailure } from './data-folder.js';
import type { Terminal } from './logs.js';
import { type Entries, type Running, Supervisor } from './supervisor.js';
import { signToken } from './token.js';

/** npm hands on a signal that the terminal has sent already: within this time it is the same request. */
const SAME_REQUEST_MS = 1_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** As a shell says of what Ctrl-C ended. */
const FORCED = 130;
/** Users of the ready-made tokens. */
const USER = '1';
const OPERATOR = '1000';

/**
 * Runs the embedded stack until a signal comes or its launcher goes away, and ends the process: with code 0 after a
 * clean stop, with 130 when a second request forced it, with code 1 and one sentence on stderr when it cannot run.
 */
export async function run(entries: Entries, argv: readonly string[]): Promise<void> {
  // Whoever read our output may be gone before we are.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  let config: Config;
  try {
    config = readConfig(process.env, argv);
  } catch (error) {
    return leave(error);
  }
  const terminal: Terminal = { verbose: config.verbose, line: (text) => process.stdout.write(text + '\n') };

  let stopAt: number | undefined;
  let forced = false;
  const stop = async (failure?: unknown) => {
    stopAt = Date.now();
    await supervisor.stop();
    leave(failure);
    if (forced) process.exitCode = FORCED;
  };
  const supervisor = new Supervisor(config, entries, terminal, (error) => void stop(error));
  const onSignal = () => {
    if (stopAt === undefined) {
      terminal.line('Stopping …');
      void stop();
    } else if (Date.now() - stopAt > SAME_REQUEST_MS) {
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
    // A start that was interrupted fails too; that is not news.
    if (stopAt === undefined) await stop(error);
  }
}

async function summary({ ports }: Config, { dataFolder, secrets }: Running): Promise<string> {
  const url = `http://127.0.0.1:${ports.api}/graphql`;
  const [user, operator] = await Promise.all([
    signToken(secrets.jwtSecret, { subject: USER }),
    signToken(secrets.jwtSecret, { subject: OPERATOR, admin: true }),
  ]);
  return [
    '',
    `Playground   ${url}`,
    `User token   ${user}`,
    `Admin token  ${operator}`,
    `Data         ${dataFolder}`,
    '',
    `ready ${url}`,
  ].join('\n');
}

/** Set, not called at once, so that what was written reaches its reader; nothing is left that would keep us running. */
function leave(failure?: unknown): void {
  if (failure !== undefined) process.stderr.write(`${sentence(failure)}\n`);
  process.exitCode = failure === undefined ? 0 : 1;
  if (process.connected) process.disconnect();
}

function sentence(failure: unknown): string {
  if (failure instanceof StartFailure) return failure.message;
  if ((failure as NodeJS.ErrnoException).code === 'ENOSPC') return 'The disk is full';
  return failure instanceof Error ? (failure.stack ?? failure.message) : String(failure);
}
