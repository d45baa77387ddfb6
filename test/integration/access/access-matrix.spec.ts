import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema, type GraphQLObjectType, getNamedType, isObjectType } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import type { JWTPayload } from 'jose';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { type Answer, TestApi } from '../../../libs/testing/src/test-api.js';
import {
  type Caller,
  CALLERS,
  OPERATIONS,
  type Outcome,
  outcomeOf,
  PERMISSIONS_OF,
  READERS,
  RESTRICTED,
  VALUES,
  VISIBLE,
} from './access-matrix.js';
import { FOLDER_SHARES, sharesFeature } from './shares.js';

const SCHEMA = buildSchema(
  readFileSync(path.resolve(import.meta.dirname, '../../../apps/api/schema.graphql'), 'utf8'),
);
const OBJECTS = Object.values(SCHEMA.getTypeMap())
  .filter(isObjectType)
  .filter(({ name }) => !name.startsWith('__'));
const typeOf = (name: string) => SCHEMA.getType(name) as GraphQLObjectType;
const pathsOf = (types: readonly GraphQLObjectType[]) =>
  types.flatMap(({ name, getFields }) =>
    Object.keys(getFields.call(typeOf(name))).map((field) => `${name}.${field}`),
  );
const isRoot = ({ name }: GraphQLObjectType) => ['Query', 'Mutation', 'Subscription'].includes(name);

const ruled = (table: Readonly<Record<string, string>>) =>
  Object.entries(table).flatMap(([type, fields]) => fields.split(' ').map((field) => `${type}.${field}`));

it('has a rule for each operation and each field of the schema, and no others', () => {
  expect(Object.keys(OPERATIONS).sort()).toEqual(pathsOf(OBJECTS.filter(isRoot)).sort());
  const fields = [...ruled(VISIBLE), ...Object.keys(RESTRICTED), ...ruled(VALUES)];
  expect(fields.sort()).toEqual(pathsOf(OBJECTS.filter((type) => !isRoot(type))).sort());
});

const SUBJECTS: Readonly<Record<Caller, string | null>> = {
  owner: '42',
  READ: '50',
  WRITE: '51',
  DELETE: '52',
  expired: '53',
  group: '54',
  everyone: '55',
  feature: '56',
  stranger: '57',
  operator: '58',
  anonymous: null,
};
const CLAIMS: Partial<Record<Caller, JWTPayload>> = {
  group: { groups: ['editors'] },
  operator: { scope: 'stowage.admin' },
};
const GRANTS = [
  ['user:50', 'READ'],
  ['user:51', 'WRITE'],
  ['user:52', 'DELETE'],
  ['group:editors', 'READ'],
  ['folders:7', 'READ'],
] as const;
const PAST = new Date('2020-01-01T00:00:00Z');

/** A field, with the values of its type that every reader sees. */
const selectionOf = (type: string, field: string): string => {
  const named = getNamedType(typeOf(type).getFields()[field]!.type);
  if (!isObjectType(named)) return field;
  const leaves = Object.values(named.getFields()).filter(
    ({ name, type }) => !isObjectType(getNamedType(type)) && !(`${named.name}.${name}` in RESTRICTED),
  );
  return `${field} { ${leaves.map(({ name }) => name).join(' ')} }`;
};

describe('the access matrix (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let database: Database;
  const clients: Client[] = [];
  beforeAll(async () => {
    api = await TestApi.start({ RATE_LIMIT_PER_MINUTE: '0' }, [sharesFeature(FOLDER_SHARES)]);
    database = api.app.get(Database, { strict: false });
    // Workers declare their tasks, and none is running.
    await database.prisma.scheduledTask.create({
      data: { name: 'expire-uploads', schedule: '', coveredUntil: PAST },
    });
    await database.pool.query(`insert into folder_shares values (7, 'user:56')`);
  });
  afterAll(async () => {
    for (const client of clients) await client.dispose();
    await api?.[Symbol.asyncDispose]();
  });

  /** An asset of user 42 with the grants of all callers; with a grant to everyone only for the caller that needs it. */
  async function assetFor(caller: Caller): Promise<string> {
    const assetId = await storeAsset(database, {
      properties: {
        ...{
          width: 10,
          height: 20,
          takenAt: PAST,
          takenAtLocal: '2020-01-01T01:00:00',
          latitude: 1,
          longitude: 2,
        },
        ...{ hasLocation: true, title: 'A title', artist: 'An artist', album: 'An album', thumbhash: 'aaaa' },
        ...{ cameraMake: 'A maker', cameraModel: 'A model', durationSeconds: 1.5, pageCount: 3 },
      },
      variants: [{ name: 'small' }],
    });
    const expired = (['READ', 'WRITE', 'DELETE'] as const).map((permission) => ({
      ...{ assetId, principal: 'user:53', permission, expiresAt: PAST },
    }));
    const grants = GRANTS.map(([principal, permission]) => ({ assetId, principal, permission }));
    const everyone = { assetId, principal: '*', permission: 'READ' as const };
    const data = caller === 'everyone' ? [everyone] : [...grants, ...expired];
    await database.prisma.assetAcl.createMany({ data });
    await database.prisma.assetMetadata.create({ data: { assetId, key: 'a', value: 'b' } });
    return assetId;
  }

  const ask = (caller: Caller, text: string, variables: object): Promise<Answer> =>
    api.query(text, variables, SUBJECTS[caller], CLAIMS[caller]);

  /** The first message of a subscription. */
  async function subscribe(
    caller: Caller,
    query: string,
    variables: Record<string, unknown>,
  ): Promise<Answer> {
    const subject = SUBJECTS[caller];
    const token = subject === null ? null : await signJwt(subject, CLAIMS[caller]);
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: token === null ? {} : { authorization: `Bearer ${token}` },
      retryAttempts: 0,
    });
    clients.push(client);
    const events = client.iterate({ query, variables });
    try {
      const first = await events.next();
      return first.value as Answer;
    } catch (error) {
      // The service closes the socket of a caller without a valid token.
      if ((error as { code?: number }).code === 4401) return { errors: [unauthenticated] };
      const errors = error as Answer['errors'];
      return { errors };
    } finally {
      await events.return?.();
    }
  }
  const unauthenticated = { message: '', extensions: { code: 'UNAUTHENTICATED' } };

  function outcomeIn({ data, errors }: Answer, field: string, isBatch = false): Outcome {
    const value = data?.[field];
    const code =
      errors?.[0]?.extensions.code ?? (isBatch ? (value as { code: string | null }[])[0]!.code : null);
    if (code === 'UNAUTHENTICATED' || code === 'FORBIDDEN' || code === 'NOT_FOUND') return code;
    // The query of one asset answers null.
    return value === null && errors === undefined ? 'NOT_FOUND' : 'allowed';
  }

  const deadLetter = async () => {
    const data = { source: 'test', error: 'failed', attempts: 1, payload: '{}' };
    return String((await database.prisma.deadLetter.create({ data, select: { id: true } })).id);
  };

  const waitingRun = async () => {
    const data = { task: 'expire-uploads', dryRun: false, state: 'WAITING', planned: 5n } as const;
    return String((await database.prisma.taskRun.create({ data, select: { id: true } })).id);
  };

  it.each(Object.entries(OPERATIONS))('%s', async (name, { need, text, isBatch }) => {
    const [root = '', field = ''] = name.split('.');
    const answers: Partial<Record<Caller, Outcome>> = {};
    for (const caller of CALLERS) {
      const id = await assetFor(caller);
      const run = root === 'Subscription' ? subscribe : ask;
      const operation = text
        .replace('DEAD_LETTER', await deadLetter())
        .replace('TASK_RUN', text.includes('TASK_RUN') ? await waitingRun() : '');
      const answer = await run(caller, operation, { id });
      answers[caller] = outcomeIn(answer, field, isBatch);
    }
    expect(answers).toEqual(Object.fromEntries(CALLERS.map((caller) => [caller, outcomeOf(need, caller)])));
  });

  const nested = { Asset: '%', AssetProperties: 'properties { % }', Variant: 'variants { % }' };
  const fields = [...ruled(VISIBLE), ...Object.keys(RESTRICTED)].map(
    (name) => name.split('.') as [keyof typeof nested, string],
  );

  it.each(fields)('%s.%s', async (type, field) => {
    const text = `query ($id: ID!) { asset(id: $id) { ${nested[type].replace('%', () => selectionOf(type, field))} } }`;
    const valueOf = ({ data }: Answer) => {
      const asset = data?.asset as Record<string, Record<string, unknown>> | null | undefined;
      if (asset == null) return asset;
      const parent = {
        Asset: asset,
        AssetProperties: asset.properties,
        Variant: (asset.variants as never)?.[0],
      }[type];
      return (parent as Record<string, unknown>)[field];
    };
    const rule = RESTRICTED[`${type}.${field}`];
    for (const caller of CALLERS) {
      const id = await assetFor(caller);
      const seen = async (caller: Caller) => comparable(valueOf(await ask(caller, text, { id })));
      const value = await seen(caller);
      const expected = !READERS.includes(caller)
        ? comparable(null)
        : field === 'viewerPermissions'
          ? comparable(PERMISSIONS_OF[caller])
          : rule === undefined || rule.seenBy.includes(caller)
            ? await seen(rule?.seenBy[0] ?? 'owner')
            : comparable(rule.others);
      expect([caller, value]).toEqual([caller, expected]);
    }
  });

  /** Signed URLs differ between requests by their times and signatures. */
  const comparable = (value: unknown): string | undefined =>
    JSON.stringify(value)
      ?.replaceAll(/\?[^"]*/g, '?')
      .replaceAll(/"(expiresAt|lastAccessedAt)":"[^"]*"/g, '"$1":1');

  it.each(['OWN', 'SHARED', 'PUBLIC'])('assets(scope: %s) lists exactly what was granted', async (scope) => {
    const ids = new Map<Caller, string>();
    for (const caller of CALLERS) ids.set(caller, await assetFor(caller));
    const listed: Partial<Record<Caller, boolean>> = {};
    const text = `query ($after: String) { assets(scope: ${scope}, first: 100, after: $after) {
      nodes { id } pageInfo { hasNextPage endCursor } } }`;
    for (const caller of CALLERS) {
      const found: string[] = [];
      for (let after: string | null = null, more = true; more;) {
        const { data } = await ask(caller, text, { after });
        const page = data?.assets as {
          nodes: { id: string }[];
          pageInfo: { hasNextPage: boolean; endCursor: string };
        };
        found.push(...(page?.nodes ?? []).map(({ id }) => id));
        more = page?.pageInfo.hasNextPage ?? false;
        after = page?.pageInfo.endCursor ?? null;
      }
      listed[caller] = found.includes(ids.get(caller)!);
    }
    const listedTo: Record<string, readonly Caller[]> = {
      OWN: ['owner'],
      SHARED: ['READ', 'WRITE', 'DELETE', 'group'],
      // Each caller's own asset counts, of which only one was granted to everyone.
      PUBLIC: ['everyone'],
    };
    expect(listed).toEqual(
      Object.fromEntries(CALLERS.map((caller) => [caller, listedTo[scope]!.includes(caller)])),
    );
  });
});
