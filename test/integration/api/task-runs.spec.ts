import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Database } from '#libs/database';
import { TestApi } from '../../../libs/testing/src/test-api.js';
import { TestWorker } from '../../../libs/testing/src/test-worker.js';
import { until } from '../../../libs/testing/src/until.js';
import { requestFor } from '../../../libs/testing/src/world.js';
import { boxes, BoxTasks, holdSchedules } from '../../support/boxes-feature.js';

const FIELDS = `id task status dryRun startedAt finishedAt examined changed failed error actions { action subject detail }`;

interface Run {
  readonly id: string;
  readonly task: string;
  readonly status: string;
  readonly dryRun: boolean;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly changed: number;
}

describe('runs of tasks (real: the api, a worker, PostgreSQL, queue, storage emulator)', () => {
  let api: TestApi;
  let worker: TestWorker;
  let database: Database;
  let tasks: BoxTasks;
  beforeAll(async () => {
    api = await TestApi.start();
    database = api.app.get(Database);
    await holdSchedules(database, ['expire-uploads', 'reconcile-uploads']);
    worker = await TestWorker.start(api, { TASK_CONFIRM_ACTIONS: '2' }, [boxes]);
    tasks = worker.app.get(BoxTasks, { strict: false });
  });
  afterAll(async () => {
    await worker?.[Symbol.asyncDispose]();
    await api?.[Symbol.asyncDispose]();
  });
  beforeEach(() => tasks.boxes.clear());

  const ask = (text: string, variables: object = {}) =>
    api.query(text, variables, '1000', { scope: 'stowage.admin' });
  async function mutate(text: string, variables: object): Promise<Run> {
    const { data, errors } = await ask(text, variables);
    expect(errors).toBeUndefined();
    return Object.values(data!)[0] as Run;
  }
  const start = (task: string, dryRun?: boolean) =>
    mutate(
      `mutation ($task: String!, $dryRun: Boolean) { runTask(task: $task, dryRun: $dryRun) { ${FIELDS} } }`,
      {
        task,
        dryRun,
      },
    );
  const confirm = (id: string) =>
    mutate(`mutation ($id: ID!) { confirmTaskRun(id: $id) { ${FIELDS} } }`, { id });
  const reasonOf = async (text: string) => (await ask(text)).errors?.map(({ extensions }) => extensions);

  async function find(id: string): Promise<Run | null> {
    const { data } = await ask(`query ($id: ID!) { admin { taskRun(id: $id) { ${FIELDS} } } }`, { id });
    return (data as { admin: { taskRun: Run | null } }).admin.taskRun;
  }
  const reached = ({ id }: Run, status: string) =>
    until(`the run is ${status}`, async () => {
      const run = await find(id);
      return run?.status === status ? run : null;
    });
  async function list(args: string): Promise<Run[]> {
    const { data, errors } = await ask(`{ admin { taskRuns${args} { ${FIELDS} } } }`);
    expect(errors).toBeUndefined();
    return (data as { admin: { taskRuns: Run[] } }).admin.taskRuns;
  }

  it('list an upload to expire in a dry run that changes nothing, and expire it in a real run', async () => {
    const request = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
    const { data } = await api.query(request, { input: requestFor('never sent') });
    const assetId = (data as { requestUpload: { asset: { id: string } } }).requestUpload.asset.id;
    const past = new Date(Date.now() - 1_000);
    await database.prisma.mediaAsset.update({
      where: { assetId },
      data: { uploadDeadlineAt: past, nextCheckAt: past },
    });
    const row = () => database.prisma.mediaAsset.findUnique({ where: { assetId } });
    const before = await row();

    const actions = [{ action: 'expire', subject: `asset ${assetId}`, detail: null }];
    const planned = await reached(await start('expire-uploads', true), 'SUCCEEDED');
    expect(planned).toMatchObject({ task: 'expire-uploads', dryRun: true, examined: 1, changed: 1, actions });
    expect(await row()).toEqual(before);

    const done = await reached(await start('expire-uploads'), 'SUCCEEDED');
    expect(done).toMatchObject({ dryRun: false, examined: 1, changed: 1, failed: 0, error: null, actions });
    expect(Date.parse(done.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(done.startedAt));
    expect(await row()).toMatchObject({ status: 'EXPIRED' });
    expect((await list('(task: "expire-uploads")')).map(({ id }) => id)).toEqual([done.id, planned.id]);
  });

  it('return the unfinished run to a repeat, and begin another one after its end', async () => {
    const gate = Promise.withResolvers<void>();
    tasks.gate = gate.promise;
    const first = await start('boxes.check');
    expect(first).toMatchObject({ finishedAt: null, startedAt: expect.any(String) });
    await reached(first, 'RUNNING');
    expect((await start('boxes.check', false)).id).toBe(first.id);
    // A dry run is another run.
    const dry = await start('boxes.check', true);
    expect(dry.id).not.toBe(first.id);
    await reached(dry, 'SUCCEEDED');
    gate.resolve();
    await reached(first, 'SUCCEEDED');
    expect((await start('boxes.check')).id).not.toBe(first.id);
  });

  it('wait for a confirmation before they change much, and change it once', async () => {
    for (const box of [1, 2, 3]) tasks.boxes.add(box);
    const actions = [
      { action: 'remove', subject: 'box 1', detail: 'the first' },
      { action: 'remove', subject: 'box 2', detail: 'a\u001b[2J\u202eb' },
      { action: 'remove', subject: 'box 3', detail: null },
    ];
    const run = await reached(await start('boxes.remove'), 'WAITING');
    expect(run).toMatchObject({ examined: 3, changed: 3, finishedAt: null, actions });
    expect(tasks.boxes.size).toBe(3);
    expect((await confirm(run.id)).id).toBe(run.id);
    expect(await reached(run, 'SUCCEEDED')).toMatchObject({ changed: 3, actions });
    expect(tasks.boxes.size).toBe(0);
    expect(await confirm(run.id)).toEqual(await find(run.id));
  });

  it('are CANCELLED when a later run waits instead', async () => {
    for (const box of [1, 2, 3]) tasks.boxes.add(box);
    const first = await reached(await start('boxes.remove'), 'WAITING');
    const second = await reached(await start('boxes.remove'), 'WAITING');
    expect(await find(first.id)).toMatchObject({ status: 'CANCELLED', error: expect.any(String) });
    expect(await reasonOf(`mutation { confirmTaskRun(id: "${first.id}") { id } }`)).toMatchObject([
      { code: 'CONFLICT', reason: 'TASK_RUN_NOT_WAITING' },
    ]);
    const { errors } = await ask(`mutation { confirmTaskRun(id: "${first.id}") { id } }`);
    expect(errors).toMatchObject([
      { message: 'This run is CANCELLED and does not wait for a confirmation.' },
    ]);
    expect(second.id).not.toBe(first.id);
  });

  it('end as FAILED without the message of a bug', async () => {
    const run = await reached(await start('boxes.fail'), 'FAILED');
    expect(run).toMatchObject({
      failed: 1,
      error: 'See the log of the worker.',
      finishedAt: expect.any(String),
    });
  });

  it('are listed newest first, by task and in a limited number', async () => {
    for (let n = 0; n < 2; n++) await reached(await start('boxes.check'), 'SUCCEEDED');
    const all = await list('');
    expect(all.map(({ id }) => BigInt(id))).toEqual(
      all.map(({ id }) => BigInt(id)).sort((a, b) => Number(b - a)),
    );
    expect(await list('(first: 2)')).toEqual(all.slice(0, 2));
    const checks = await list('(task: "boxes.check", first: 100)');
    expect(checks.length).toBeGreaterThanOrEqual(2);
    expect(new Set(checks.map(({ task }) => task))).toEqual(new Set(['boxes.check']));
    expect(await list('(task: "no.such-task")')).toEqual([]);
    expect(await list('(task: "\\u0000")')).toEqual([]);
    for (const first of [0, 101]) {
      expect(await reasonOf(`{ admin { taskRuns(first: ${first}) { id } } }`)).toMatchObject([
        { code: 'BAD_USER_INPUT', reason: 'PAGE_INVALID', path: ['first'] },
      ]);
    }
  });

  it.each(['x', '', 'boxes', 'expire-uploads ', '\\u0000'])('report the unknown task "%s"', async (task) => {
    const { errors } = await ask(`mutation { runTask(task: "${task}") { id } }`);
    expect(errors).toMatchObject([
      {
        message: expect.stringMatching(/boxes\.check, boxes\.fail, boxes\.remove, .*expire-uploads/),
        extensions: { code: 'NOT_FOUND', reason: 'TASK_NOT_FOUND', path: ['task'] },
      },
    ]);
  });

  it.each(['0', 'x', '-1', '999999', '9'.repeat(30)])('report the unknown run "%s"', async (id) => {
    expect(await reasonOf(`mutation { confirmTaskRun(id: "${id}") { id } }`)).toMatchObject([
      { code: 'NOT_FOUND', reason: 'TASK_RUN_NOT_FOUND' },
    ]);
    expect(await find(id)).toBeNull();
  });

  it('cannot be confirmed if they did not wait', async () => {
    const run = await reached(await start('boxes.check'), 'SUCCEEDED');
    expect(await reasonOf(`mutation { confirmTaskRun(id: "${run.id}") { id } }`)).toMatchObject([
      { code: 'CONFLICT', reason: 'TASK_RUN_NOT_WAITING' },
    ]);
  });

  it('fit into the cost of an operation with all their fields', async () => {
    expect((await list('(first: 100)')).length).toBeGreaterThan(0);
  });

  it.each([
    'mutation { runTask(task: "boxes.check") { id } }',
    'mutation { confirmTaskRun(id: "1") { id } }',
    '{ admin { taskRuns { id } } }',
    '{ admin { taskRun(id: "1") { id } } }',
    '{ admin { integrityFindings { nodes { id } } } }',
  ])('are FORBIDDEN to other callers: %s', async (text) => {
    const count = () => database.prisma.taskRun.count();
    const before = await count();
    expect((await api.query(text)).errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect(await count()).toBe(before);
  });
});
