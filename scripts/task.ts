/** Runs a task in a worker and follows its run. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ApiError, type Client } from './client.ts';
import { reason, run, UsageError } from './command.ts';
import { localClient } from './local-client.ts';
import { type ShownRun, TaskProgress, titleOf } from './task-progress.ts';

const HELP = `
Usage: npm run task -- [NAME] [--dry-run | --confirm ID | --follow ID] [--token T] [--url http://127.0.0.1:3000/graphql] [--json]

Runs a task in a worker, waits for its end and prints its actions. Without NAME the command lists the tasks. The exit code is
0 if the run succeeds, 1 if it fails, and 2 if it waits for a confirmation because it would change much.

  --dry-run             lists the actions and changes nothing
  --confirm ID          continues a run that waits, and follows it
  --follow ID           starts no run: follows the run with this id, or prints it if it has ended or waits
  --token TOKEN         token of an operator; user 1 of the embedded stack as an operator by default
  --url URL             URL of the API; the embedded stack by default
  --json                prints the run, or the names of the tasks, as JSON

Ctrl-C ends the command, not the run. While a run is unfinished, a repeat of the command follows it and starts no other. The
command uses the stack that runs from this folder; if several run, set PORT or DATA_DIR.
`;
const FIRST_POLL_MS = 200;
const LONGEST_POLL_MS = 2_000;
/** Statuses after which the run does not continue by itself, with their exit codes. An unknown status is treated like RUNNING. */
const EXIT_CODES: Readonly<Record<string, number>> = { SUCCEEDED: 0, FAILED: 1, CANCELLED: 1, WAITING: 2 };
const MAX_ACTIONS = 100;
/** Exit code of a process that Ctrl-C ended. */
const INTERRUPTED = 130;

interface Action {
  readonly action: string;
  readonly subject: string;
  readonly detail: string | null;
}

interface TaskRun extends ShownRun {
  readonly error: string | null;
  readonly actions: readonly Action[];
}

const FIELDS = 'id task status dryRun examined changed failed error actions { action subject detail }';
const RUN_TASK = `mutation ($task: String!, $dryRun: Boolean!) { runTask(task: $task, dryRun: $dryRun) { ${FIELDS} } }`;
const CONFIRM_RUN = `mutation ($id: ID!) { confirmTaskRun(id: $id) { ${FIELDS} } }`;
const RUN_BY_ID = `query ($id: ID!) { admin { taskRun(id: $id) { ${FIELDS} } } }`;

await run(HELP, async () => {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'dry-run': { type: 'boolean', default: false },
      confirm: { type: 'string' },
      follow: { type: 'string' },
      token: { type: 'string' },
      url: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const { confirm, follow: followed, 'dry-run': dryRun, json } = values;
  const [name, ...others] = positionals;
  const id = confirm ?? followed;
  if (others.length > 0) throw new UsageError('Name one task');
  if ([confirm !== undefined, followed !== undefined, dryRun].filter(Boolean).length > 1)
    throw new UsageError('Use one of --dry-run, --confirm and --follow');
  if (name === undefined && dryRun) throw new UsageError('Name the task of the dry run');
  const client = await localClient(values, true);
  if (name === undefined && id === undefined) {
    const names = await listOfTasks(client);
    return console.log(json ? JSON.stringify(names, null, 2) : names.join('\n'));
  }

  const found = id === undefined ? null : await existing(client, id, name);
  const planned = confirm !== undefined && found?.status === 'WAITING' ? found.changed : null;
  const begun =
    confirm === undefined
      ? (found ?? (await start(client, name!, dryRun)))
      : await confirmed(client, confirm);
  const ended = await follow(client, begun, planned);
  console.log(json ? JSON.stringify(ended, null, 2) : description(ended));
  process.exitCode = EXIT_CODES[ended.status];
});

async function start(client: Client, task: string, dryRun: boolean): Promise<TaskRun> {
  return (await client.call<{ runTask: TaskRun }>(RUN_TASK, { task, dryRun })).runTask;
}

async function confirmed(client: Client, id: string): Promise<TaskRun> {
  return (await client.call<{ confirmTaskRun: TaskRun }>(CONFIRM_RUN, { id })).confirmTaskRun;
}

/** @param task the task of the run, if the user named one */
async function existing(client: Client, id: string, task?: string): Promise<TaskRun> {
  const run = await find(client, id);
  if (run === null) throw new Error(`There is no run ${id}`);
  if (task !== undefined && run.task !== task) throw new Error(`Run ${id} is a run of ${run.task}`);
  return run;
}

async function find(client: Client, id: string): Promise<TaskRun | null> {
  return (await client.call<{ admin: { taskRun: TaskRun | null } }>(RUN_BY_ID, { id })).admin.taskRun;
}

/** The error for an unknown task names the tasks. */
async function listOfTasks(client: Client): Promise<string[]> {
  try {
    await start(client, '', true);
  } catch (error) {
    const names = /The tasks are (.+)\. \(NOT_FOUND\)$/.exec((error as Error).message)?.[1];
    if (!(error instanceof ApiError) || names === undefined) throw error;
    return names.split(', ');
  }
  throw new Error('The API accepted a task without a name');
}

/**
 * Polls until the run ends or waits.
 * @param planned number of actions that the run will perform, if it is known
 */
async function follow(client: Client, begun: TaskRun, planned: number | null): Promise<TaskRun> {
  const { id } = begun;
  const progress = new TaskProgress(process.stderr, planned);
  const interrupt = () => {
    progress.stop();
    console.error(continuation(id));
    process.exit(INTERRUPTED);
  };
  process.once('SIGINT', interrupt);
  try {
    let current = begun;
    for (
      let pause = FIRST_POLL_MS;
      !(current.status in EXIT_CODES);
      pause = Math.min(pause * 1.3, LONGEST_POLL_MS)
    ) {
      progress.show(current);
      await delay(pause);
      const found = await find(client, id).catch((error: unknown) => {
        throw new Error(`${reason(error)}\n${continuation(id)}`, { cause: error });
      });
      if (found === null) throw new Error(`Run ${id} was removed`);
      current = found;
    }
    return current;
  } finally {
    process.off('SIGINT', interrupt);
    progress.stop();
  }
}

function continuation(id: string): string {
  return `Run ${id} continues. To follow it: npm run task -- --follow ${id}`;
}

function description(run: TaskRun): string {
  const { id, task, status, error, actions, ...counts } = run;
  // A later run cancels one that waits.
  const isPlan = run.dryRun || status === 'WAITING' || status === 'CANCELLED';
  const lines = [
    titleOf(run),
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
    // A key in a bucket may contain control characters, which a terminal would execute, and change the order of the others.
    ...actions.map(({ action, subject, detail }) =>
      [action, subject, detail ?? ''].map((text) => text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')),
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
