import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Database } from '#libs/database';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { TestWorker } from '../../../libs/testing/src/test-worker.js';
import { until } from '../../../libs/testing/src/until.js';
import { boxes, BoxTasks } from '../../support/boxes-feature.js';
import { type OnStart, runScript } from '../../support/script.js';

describe('npm run task (real: the command, the api, a worker, PostgreSQL, queue)', () => {
  let api: TestApi;
  let worker: TestWorker;
  let tasks: BoxTasks;
  let token: string;
  beforeAll(async () => {
    api = await TestApi.start();
    worker = await TestWorker.start(api, { TASK_CONFIRM_ACTIONS: '2' }, [boxes]);
    tasks = worker.app.get(BoxTasks, { strict: false });
    token = await api.token('1000', { scope: 'stowage.admin' });
  });
  afterAll(async () => {
    await worker?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    tasks.boxes.clear();
    tasks.gate = Promise.resolve();
  });

  const run = (args: readonly string[], onStart?: OnStart) =>
    runScript(
      'task.ts',
      ['--url', `http://127.0.0.1:${api.port}/graphql`, '--token', token, ...args],
      {},
      onStart,
    );
  const task = (...args: string[]) => run(args);
  const countOfRuns = () => api.app.get(Database).prisma.taskRun.count({ where: { task: 'boxes.remove' } });

  /** The number of runs that were requested. */
  async function requests(): Promise<number> {
    const text = await (await api.fetch('/metrics')).text();
    const metric = /stowage_graphql_requests_total\{operation="runTask",code="OK"\} (\d+)/;
    return Number(metric.exec(text)?.[1] ?? 0);
  }

  it('lists the tasks without a name, and starts none', async () => {
    const { code, stdout, stderr } = await task();
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.trim().split('\n')).toEqual(
      expect.arrayContaining(['boxes.check', 'boxes.remove', 'expire-uploads', 'reconcile-uploads']),
    );
  });

  it('lists the tasks as JSON', async () => {
    const { code, stdout } = await task('--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual((await task()).stdout.trim().split('\n'));
  });

  it('prints the actions of a dry run as a table', async () => {
    for (const box of [1, 2]) tasks.boxes.add(box);
    const { code, stdout, stderr } = await task('boxes.remove', '--dry-run');
    expect(code).toBe(0);
    const [, id] = /^boxes\.remove, dry run (\d+): SUCCEEDED\n/.exec(stdout)!;
    expect(stdout.split('\n').slice(1)).toEqual([
      '  2 examined, 2 to change, 0 failed',
      '',
      'ACTION  SUBJECT  DETAIL',
      'remove  box 1    the first',
      'remove  box 2    a?[2J?b',
      '',
    ]);
    // A line for each status, however often the command asked.
    const lines = stderr.split('\n').filter((line) => line !== '');
    expect(lines.length).toBeLessThanOrEqual(2);
    for (const line of lines) expect(line).toMatch(`boxes.remove, dry run ${id}: `);
    expect(tasks.boxes.size).toBe(2);
  });

  it('waits for the end of a run, which a repeat follows too', async () => {
    const gate = Promise.withResolvers<void>();
    tasks.gate = gate.promise;
    const before = await requests();
    const commands = [task('boxes.check'), task('boxes.check')];
    await until('both commands have a run', async () => ((await requests()) === before + 2 ? true : null));
    gate.resolve();
    const results = await Promise.all(commands);
    expect(results.map(({ code }) => code)).toEqual([0, 0]);
    expect(results[0]!.stdout).toMatch(
      /^boxes\.check, run \d+: SUCCEEDED\n {2}1 examined, 0 changed, 0 failed\n$/,
    );
    expect(results[1]!.stdout).toBe(results[0]!.stdout);
  });

  it('ends with 2 and prints the command that confirms, which then continues the run', async () => {
    for (const box of [1, 2, 3]) tasks.boxes.add(box);
    const { code, stdout } = await task('boxes.remove');
    expect(code).toBe(2);
    expect(stdout).toContain('3 examined, 3 to change, 0 failed');
    const [, ...command] = /^ {2}npm run task -- (boxes\.remove) (--confirm) (\d+)$/m.exec(stdout)!;
    expect(tasks.boxes.size).toBe(3);

    const other = await task('boxes.check', ...command.slice(1));
    expect(other).toMatchObject({ code: 1, stderr: `Run ${command[2]} is a run of boxes.remove\n` });
    expect(tasks.boxes.size).toBe(3);

    const confirmed = await task(...command);
    expect(confirmed).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('3 examined, 3 changed, 0 failed'),
    });
    expect(tasks.boxes.size).toBe(0);
  });

  it('prints a run that waits by its id, as often as asked, and continues nothing', async () => {
    for (const box of [1, 2, 3]) tasks.boxes.add(box);
    const first = await task('boxes.remove');
    const [, id] = /--confirm (\d+)$/m.exec(first.stdout)!;
    for (const args of [
      ['--follow', id!],
      ['boxes.remove', '--follow', id!],
    ]) {
      expect(await task(...args)).toEqual({ code: 2, stdout: first.stdout, stderr: '' });
    }
    expect(await task('boxes.check', '--follow', id!)).toMatchObject({ code: 1, stdout: '' });
    expect(tasks.boxes.size).toBe(3);
  });

  it.each(['--follow', '--confirm'])('reports an id that no run has with %s', async (option) => {
    for (const id of ['999999', 'x']) {
      expect(await task(option, id)).toEqual({ code: 1, stdout: '', stderr: `There is no run ${id}\n` });
    }
  });

  it('ends by Ctrl-C with the command that follows the run, which continues', async () => {
    const gate = Promise.withResolvers<void>();
    tasks.gate = gate.promise;
    const interrupted = await run(['boxes.check'], (child) => {
      child.stderr.once('data', () => child.kill('SIGINT'));
    });
    expect(interrupted).toMatchObject({ code: 130, stdout: '' });
    const [, id] = /^Run (\d+) continues\. To follow it: npm run task -- --follow \1$/m.exec(
      interrupted.stderr,
    )!;
    gate.resolve();
    expect(await task('--follow', id!)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(`^boxes\\.check, run ${id}: SUCCEEDED\n`),
    });
  });

  it('names the run that it cannot follow any more', async () => {
    const run = { id: '7', task: 'boxes.check', status: 'RUNNING', dryRun: false };
    const error = { message: 'The token has expired.', extensions: { code: 'UNAUTHENTICATED' } };
    const answers = [{ data: { runTask: run } }, { errors: [error] }];
    const server = createServer((_, response) => void response.end(JSON.stringify(answers.shift())));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const { code, stderr } = await task('boxes.check', '--url', `http://127.0.0.1:${port}`);
      expect(code).toBe(1);
      expect(stderr.split('\n').slice(1)).toEqual([
        'The token has expired. (UNAUTHENTICATED)',
        'Run 7 continues. To follow it: npm run task -- --follow 7',
        '',
      ]);
    } finally {
      server.close();
    }
  });

  it('ends with 1 when the run fails, and prints why', async () => {
    const { code, stdout } = await task('boxes.fail');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^boxes\.fail, run \d+: FAILED\n {2}See the log of the worker\.\n/);
  });

  it('prints the run as JSON', async () => {
    tasks.boxes.add(3);
    const { code, stdout } = await task('boxes.remove', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      status: 'SUCCEEDED',
      changed: 1,
      actions: [{ action: 'remove', subject: 'box 3' }],
    });
  });

  it('says that only the first actions are shown', async () => {
    for (let box = 3; box < 104; box++) tasks.boxes.add(box);
    const { stdout } = await task('boxes.remove', '--dry-run');
    expect(stdout).toContain('101 to change');
    expect(stdout).toContain('The first 100 actions are shown.');
  });

  it('names the tasks when there is none with the name', async () => {
    const { code, stdout, stderr } = await task('no-such-task');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^There is no such task\. The tasks are .*expire-uploads.*\(NOT_FOUND\)\n$/);
  });

  it.each([
    [['a', 'b'], 'Name one task'],
    [['a', '--dry-run', '--confirm', '1'], 'Use one of --dry-run, --confirm and --follow'],
    [['a', '--follow', '1', '--confirm', '1'], 'Use one of --dry-run, --confirm and --follow'],
    [['--dry-run'], 'Name the task of the dry run'],
    [['a', '--force'], "Unknown option '--force'"],
  ])('reports what is wrong with %j', async (args, sentence) => {
    const before = await countOfRuns();
    const { code, stdout, stderr } = await task(...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain(sentence);
    expect(stderr).toContain('Usage: npm run task');
    expect(await countOfRuns()).toBe(before);
  });

  it.each([[['boxes.remove']], [['--confirm', '1']], [[]]])(
    'refuses callers who are no operators: %j',
    async (args) => {
      const before = await countOfRuns();
      const { code, stderr } = await task(...args, '--token', await api.token('42'));
      expect([code, stderr]).toEqual([1, 'Only operators may do this. (FORBIDDEN)\n']);
      expect(await countOfRuns()).toBe(before);
    },
  );
});
