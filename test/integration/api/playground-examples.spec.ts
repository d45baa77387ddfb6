import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { getOperationAST, getVariableValues, type GraphQLSchema, parse, validate } from 'graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import {
  type Example,
  EXAMPLES,
  operationName,
  UNKNOWN_ID,
} from '../../../libs/stowage/src/api/playground/examples/index.js';
import { coreSchema } from '../../../libs/testing/src/schema.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { type Answer, TestApi } from '../../../libs/testing/src/test-api.js';
import { entryFieldsOf, fieldsIn } from '../../support/entry-fields.js';

const ALL = EXAMPLES.flatMap(({ title, forOperators = false, examples }) =>
  examples.map((example) => ({ name: operationName(example), title, forOperators, ...example })),
);

/** Characters of a line that GraphiQL shows beside the pane in a window of 1400 pixels. */
const LINE_LENGTH = 42;

const NO_ASSET = 'ASSET_NOT_FOUND';
/** Reasons of the errors of examples that are run unchanged. All other examples succeed. */
const REASONS: Readonly<Record<string, string>> = {
  RenewUpload: NO_ASSET,
  CompleteUpload: NO_ASSET,
  CancelUpload: NO_ASSET,
  AssetChanged: NO_ASSET,
  AssetsChanged: NO_ASSET,
  UpdateAsset: NO_ASSET,
  ReplaceUpload: NO_ASSET,
  GrantAccess: NO_ASSET,
  RevokeAccess: NO_ASSET,
  DeleteAsset: NO_ASSET,
  RestoreAsset: NO_ASSET,
  PurgeAsset: NO_ASSET,
  TransferAsset: NO_ASSET,
  RetryDeadLetter: 'DEAD_LETTER_NOT_FOUND',
  DiscardDeadLetter: 'DEAD_LETTER_NOT_FOUND',
  ConfirmTaskRun: 'TASK_RUN_NOT_FOUND',
};

describe('examples of the playground', () => {
  let schema: GraphQLSchema;
  beforeAll(async () => {
    schema = await coreSchema();
  });

  it.each(ALL)('$name is valid with its variables', ({ query, variables }) => {
    const document = parse(query);
    expect(validate(schema, document)).toEqual([]);
    const { variableDefinitions = [] } = getOperationAST(document)!;
    const { errors } = getVariableValues(schema, variableDefinitions, { ...variables });
    expect(errors ?? []).toEqual([]);
    const declared = variableDefinitions.map(({ variable }) => variable.name.value);
    expect(declared).toEqual(expect.arrayContaining(Object.keys(variables ?? {})));
  });

  it('contain every operation of the schema', () => {
    const served = entryFieldsOf(schema);
    const shown = fieldsIn(parse(ALL.map(({ query }) => query).join('\n')), schema);
    expect(served).not.toEqual([]);
    expect(served.filter((field) => !shown.has(field))).toEqual([]);
  });

  it('have names of their own', () => {
    expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
  });

  it('begin with a comment that fits beside the pane', () => {
    expect(ALL.filter(({ query }) => !query.startsWith('# ')).map(({ name }) => name)).toEqual([]);
    const comments = ALL.flatMap(({ query }) => query.split('\n')).filter((line) => line.startsWith('#'));
    expect(comments.filter((line) => line.length > LINE_LENGTH)).toEqual([]);
  });
});

describe('examples of the playground (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
    // Workers declare their tasks, and none is running.
    const data = { name: 'expire-uploads', schedule: 'every 10 s', coveredUntil: new Date() };
    await api.app.get(Database).prisma.scheduledTask.create({ data });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const run = async (example: Example, isOperator: boolean): Promise<Answer> => {
    const [subject, claims] = isOperator ? ['1000', { scope: 'stowage.admin' }] : ['42', {}];
    const { query, variables } = example;
    if (!query.includes('\nsubscription ')) return api.query(query, variables, subject, claims);
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await api.token(subject, claims)}` },
      retryAttempts: 0,
    });
    try {
      const results = client.iterate({ query, variables: { ...variables } });
      const { value } = (await results.next()) as { value: Answer | undefined };
      await results.return?.();
      return value ?? { data: null };
    } catch (errors) {
      return { errors: errors as Answer['errors'] };
    } finally {
      await client.dispose();
    }
  };
  const reasonsOf = ({ errors = [] }: Answer) => errors.map(({ extensions }) => extensions.reason);

  it.each(ALL)('$name runs unchanged', async ({ name, forOperators, ...example }) => {
    const answer = await run(example, forOperators);
    expect(reasonsOf(answer)).toEqual(name in REASONS ? [REASONS[name]] : []);
  });

  it.each(ALL.filter(({ forOperators }) => forOperators))('$name is for operators only', async (example) => {
    expect(reasonsOf(await run(example, false))).toEqual(['OPERATORS_ONLY']);
  });

  it('run in their order with the ids of assets', async () => {
    const database = api.app.get(Database);
    const request = ALL.find(({ name }) => name === 'RequestUpload')!;
    const { data } = await run(request, false);
    const pending = (data as { requestUpload: { asset: { id: string } } }).requestUpload.asset.id;
    const ready = await storeAsset(database);
    // The examples before purge their asset.
    const operated = await storeAsset(database);
    const outcomes: Record<string, unknown[]> = {};
    for (const { name, title, forOperators, query, variables } of ALL) {
      const id = title === 'Upload' ? pending : forOperators ? operated : ready;
      const withId = JSON.parse(JSON.stringify(variables ?? {}).replaceAll(UNKNOWN_ID, id)) as object;
      const answer = await run({ query, variables: withId }, forOperators);
      if (!(name in REASONS) || REASONS[name] === NO_ASSET) outcomes[name] = reasonsOf(answer);
      const items = Object.values(answer.data ?? {}).flat() as ({ reason?: string | null } | null)[];
      outcomes[name]?.push(...items.flatMap((item) => item?.reason ?? []));
    }
    expect(outcomes).toEqual(Object.fromEntries(Object.keys(outcomes).map((name) => [name, []])));
    expect(Object.keys(outcomes)).toHaveLength(ALL.length - 3);
  });
});
