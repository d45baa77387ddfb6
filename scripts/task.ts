/** Runs a task in a worker and follows its run. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ApiError, type Client } from './client.ts';
import { run, UsageError } from './command.ts';
import { localClient } from './local-client.ts';

const HELP = `
Usage: npm run task -- [NAME] [--dry-run] [--confirm ID] [--token T] [--url http://127.0.0.1:3000/graphql] [--json]

Runs a task in a worker, waits for its end and prints its actions. Without NAME the command lists the tasks. The exit code is
0 if the run succeeds, 1 if it fails, and 2 if it waits for a confirmation because it would change much.

  --dry-run             lists the actions and changes nothing
  --confirm ID          continues a run that waits, and follows it
  --token TOKEN         token of an operator; user 1 of the embedded stack as an operator by default
  --url URL             URL of the API; the embedded stack by default
  --json                prints the run as JSON

If the command is interrupted, the run continues. A repeat follows the unfinished run. The command uses the stack that runs from
this folder; if several run, set PORT or DATA_DIR.
`;
const FIRST_POLL_MS = 200;
const LONGEST_POLL_MS = 2_000;
/** Statuses after which the run does not continue by itself, with their exit codes. An unknown status is treated like RUNNING. */
const EXIT_CODES: Readonly<Record<string, number>> = { SUCCEEDED: 0, FAILED: 1, CANCELLED: 1, WAITING: 2 };
const MAX_ACTIONS = 100;
const SPINNER = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'];

interface Action {
  readonly action: string;
  readonly subject: string;
  readonly detail: string | null;
}

interface TaskRun {
  readonly id: string;
  readonly task: string;
  readonly status: string;
  readonly dryRun: boolean;
  readonly examined: number;
  readonly changed: number;
  readonly failed: number;
  readonly error: string | null;
  readonly actions: readonly Action[];
}

const FIELDS = 'id task status dryRun examined changed failed error actions { action subject detail }';
const RUN_TASK = `mutation ($task: String!, $dryRun: Boolean!) { runTask(task: $task, dryRun: $dryRun) { ${FIELDS} } }`;
const CONFIRM_RUN = `mutation ($id: ID!) { confirmTaskRun(id: $id) { ${FIELDS} } }`;
const RUN_BY_ID = `query ($id: ID!) { admin { taskRun(id: $id) { ${FIELDS} } } }`;

/** One line on a terminal that changes in place; otherwise a line for each status. */
class Progress {
  private frame = 0;
  private lastStatus = '';

  show({ id, task, status, dryRun, examined, changed, failed }: TaskRun): void {
    const { stderr } = process;
    const title = `${task}, ${dryRun ? 'dry run' : 'run'} ${id}: ${status}`;
    if (stderr.isTTY) {
      const frame = SPINNER[this.frame++ % SPINNER.length];
      const line = `${frame} ${title}, ${examined} examined, ${changed} changed, ${failed} failed`;
      stderr.write(`\r\x1b[K${line.slice(0, stderr.columns - 1)}`);
    } else if (status !== this.lastStatus) {
      stderr.write(`${title}\n`);
    }
    this.lastStatus = status;
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  }
}

await run(HELP, async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'dry-run': { type: 'boolean', default: false },
      confirm: { type: 'string' },
      token: { type: 'string' },
      url: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { confirm, 'dry-run': dryRun, json } = values;
  const [name, ...others] = positionals;
  if (others.length > 0) throw new UsageError('Name one task');
  if (confirm !== undefined && dryRun) throw new UsageError('A dry run needs no confirmation');
  const client = await localClient(values, true);
  if (name === undefined && confirm === undefined) return console.log(await listOfTasks(client));

  const started =
    confirm === undefined ? await start(client, name!, dryRun) : await confirmed(client, confirm, name);
  const ended = await follow(client, started);
  console.log(json ? JSON.stringify(ended, null, 2) : description(ended));
  process.exitCode = EXIT_CODES[ended.status];
});

async function start(client: Client, task: string, dryRun: boolean): Promise<TaskRun> {
  return (await client.call<{ runTask: TaskRun }>(RUN_TASK, { task, dryRun })).runTask;
}

/** @param task the task of the run, if the user named one */
async function confirmed(client: Client, id: string, task?: string): Promise<TaskRun> {
  const found = task === undefined ? null : await find(client, id);
  if (found !== null && found.task !== task) throw new Error(`Run ${id} is a run of ${found.task}`);
  return (await client.call<{ confirmTaskRun: TaskRun }>(CONFIRM_RUN, { id })).confirmTaskRun;
}

async function find(client: Client, id: string): Promise<TaskRun | null> {
  return (await client.call<{ admin: { taskRun: TaskRun | null } }>(RUN_BY_ID, { id })).admin.taskRun;
}

/** The error for an unknown task names the tasks. */
async function listOfTasks(client: Client): Promise<string> {
  try {
    await start(client, '', true);
  } catch (error) {
    const names = /The tasks are (.+)\. \(NOT_FOUND\)$/.exec((error as Error).message)?.[1];
    if (!(error instanceof ApiError) || names === undefined) throw error;
    return names.replaceAll(', ', '\n');
  }
  throw new Error('The API accepted a task without a name');
}

/** Polls until the run ends or waits. */
async function follow(client: Client, started: TaskRun): Promise<TaskRun> {
  const { id } = started;
  const progress = new Progress();
  try {
    let current = started;
    for (
      let pause = FIRST_POLL_MS;
      !(current.status in EXIT_CODES);
      pause = Math.min(pause * 1.3, LONGEST_POLL_MS)
    ) {
      progress.show(current);
      await delay(pause);
      const found = await find(client, id);
      if (found === null) throw new Error(`Run ${id} was removed`);
      current = found;
    }
    return current;
  } finally {
    progress.clear();
  }
}

function description({ id, task, status, dryRun, error, actions, ...counts }: TaskRun): string {
  const isPlan = dryRun || status === 'WAITING';
  const lines = [
    `${task}, ${dryRun ? 'dry run' : 'run'} ${id}: ${status}`,
    ...(error === null ? [] : [`  ${error}`]),
    `  ${counts.examined} examined, ${counts.changed} ${isPlan ? 'to change' : 'changed'}, ${counts.failed} failed`,
    ...table(actions),
    ...(actions.length < MAX_ACTIONS ? [] : [`The first ${MAX_ACTIONS} actions are shown.`]),
  ];
  if (status === 'WAITING')
    lines.push(
      '',
      'The run has changed nothing yet. To let it continue:',
      `  npm run task -- ${task} --confirm ${id}`,
    );
  return lines.join('\n');
}

function table(actions: readonly Action[]): string[] {
  if (actions.length === 0) return [];
  const rows = [
    ['ACTION', 'SUBJECT', 'DETAIL'],
    // A key in a bucket may contain control characters, which a terminal would execute.
    ...actions.map(({ action, subject, detail }) =>
      [action, subject, detail ?? ''].map((text) => text.replaceAll(/\p{Cc}/gu, '?')),
    ),
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return [
    '',
    ...rows.map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
  ];
}
