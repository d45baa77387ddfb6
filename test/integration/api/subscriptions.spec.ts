import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Client, createClient, type SubscribePayload } from 'graphql-ws';
import pg from 'pg';
import { WebSocket } from 'ws';
import { Clock } from '#libs/database';
import { AssetFeed } from '#libs/events';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { signJwt } from '../../support/fleet.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { until } from '../../support/until.js';
import { TestApi } from './test-api.js';

const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const CANCEL = `mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }`;
const PURGE = `mutation ($id: ID!) { purgeAsset(id: $id) }`;
const ONE = `subscription ($id: ID!) { assetChanged(id: $id) { id status viewerPermissions acl { principal } } }`;
const MANY = `subscription ($ids: [ID!]!) { assetsChanged(ids: $ids) { id status } }`;
const SHA256 = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03';

interface Changed {
  readonly id: string;
  readonly status: string;
}

/** What one subscription has brought so far. */
interface Seen {
  readonly states: Changed[];
  readonly errors: { readonly message: string; readonly extensions?: Record<string, unknown> }[];
  /** Code of the socket's end, 'complete', or null while it runs. */
  end: number | 'complete' | null;
  stop(): void;
}

describe('subscriptions (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let database: pg.Client;
  const clients: Client[] = [];
  beforeAll(async () => {
    api = await TestApi.start();
    database = new pg.Client({ connectionString: api.databaseUrl });
    await database.connect();
  });
  afterAll(async () => {
    for (const client of clients) await client.dispose();
    await database?.end();
    await api?.[Symbol.asyncDispose]();
  });

  const open = (connectionParams: Record<string, unknown>): Client => {
    const client = createClient({
      url: `ws://127.0.0.1:${api.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams,
      retryAttempts: 0,
    });
    clients.push(client);
    return client;
  };
  const as = async (subject: string, expires = '1h') =>
    open({ authorization: `Bearer ${await signJwt(subject, {}, expires)}` });

  function subscribe(client: Client, payload: SubscribePayload): Seen {
    const seen: Seen = { states: [], errors: [], end: null, stop: () => undefined };
    seen.stop = client.subscribe<Record<string, Changed>>(payload, {
      next: ({ data, errors = [] }) => {
        seen.errors.push(...(errors as Seen['errors']));
        const state = Object.values(data ?? {})[0];
        if (state) seen.states.push(state);
      },
      error: (error) => {
        if (Array.isArray(error)) seen.errors.push(...(error as Seen['errors']));
        seen.end = Array.isArray(error) ? 'complete' : (error as { code: number }).code;
      },
      complete: () => (seen.end ??= 'complete'),
    });
    return seen;
  }
  const watch = async (id: string, subject = '42') =>
    subscribe(await as(subject), { query: ONE, variables: { id } });
  const statuses = ({ states }: Seen) => states.map(({ status }) => status);
  const comes = (what: string, condition: () => boolean) => until(what, () => (condition() ? true : null));

  async function pending(subject = '42', acl?: object[]): Promise<string> {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: SHA256, acl };
    const { data } = await api.query(REQUEST, { input }, subject);
    return (data?.requestUpload as { asset: { id: string } }).asset.id;
  }

  it('sends the state first, then changes, and completes at the purge', async () => {
    const id = await pending();
    const seen = await watch(id);
    await comes('the first state', () => seen.states.length === 1);
    await api.query(CANCEL, { id });
    await comes('the change', () => seen.states.length === 2);
    await api.query(PURGE, { id });
    await comes('the end', () => seen.end === 'complete');
    expect(statuses(seen)).toEqual(['PENDING', 'CANCELLED']);
    expect(seen.states[0]).toMatchObject({ id, viewerPermissions: ['READ', 'WRITE', 'DELETE'], acl: [] });
    expect(seen.errors).toEqual([]);
  });

  it('answers a stranger and a name that is nobody’s alike', async () => {
    const id = await pending();
    const answers = [
      await watch(id, '43'),
      await watch('01a204b4-f6dd-72d6-be10-e023dab1bad7'),
      await watch('no id'),
    ];
    for (const { end } of answers) expect(end).toBeNull();
    await comes('all ends', () => answers.every(({ end }) => end === 'complete'));
    const [first, ...others] = answers.map(({ states, errors }) => ({ states, errors }));
    expect(first).toMatchObject({
      states: [],
      errors: [{ extensions: { code: 'NOT_FOUND', reason: 'ASSET_NOT_FOUND' } }],
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it('watches many at once, and passes over what is not the caller’s', async () => {
    const [mine, also, other] = [await pending(), await pending(), await pending('43')];
    const seen = subscribe(await as('42'), { query: MANY, variables: { ids: [mine, other, also, mine] } });
    await comes('both states', () => seen.states.length === 2);
    expect(seen.states.map(({ id }) => id)).toEqual([mine, also]);
    await api.query(CANCEL, { id: also });
    await comes('the change', () => seen.states.length === 3);
    await api.query(CANCEL, { id: mine });
    await comes('the other change', () => seen.states.length === 4);
    await api.query(PURGE, { id: mine });
    expect(seen.end).toBeNull();
    await api.query(PURGE, { id: also });
    await comes('the end', () => seen.end === 'complete');
    expect(statuses(seen)).toEqual(['PENDING', 'PENDING', 'CANCELLED', 'CANCELLED']);
  });

  it('does not watch what the caller may not read, or may not read any more', async () => {
    const acl = [{ principal: 'user:48', permissions: ['READ'] }];
    const [granted, also, strange] = [
      await pending('42', acl),
      await pending('42', acl),
      await pending('42'),
    ];
    const nobodys = '01a204b4-f6dd-72d6-be10-e023dab1bad7';
    const feed = api.app.get<unknown, { readonly watches: ReadonlyMap<string, unknown> }>(AssetFeed, {
      strict: false,
    });
    const watched = () => [granted, also, strange, nobodys].filter((id) => feed.watches.has(id));
    const ids = [strange, granted, nobodys, also];
    const seen = subscribe(await as('48'), { query: MANY, variables: { ids } });
    await comes('both states', () => seen.states.length === 2);
    expect(watched()).toEqual([granted, also]);
    await database.query('delete from asset_acl where asset_id = $1', [granted]);
    await api.query(CANCEL, { id: granted });
    await comes('one is left alone', () => watched().length === 1);
    expect(watched()).toEqual([also]);
    await database.query('delete from asset_acl where asset_id = $1', [also]);
    await api.query(CANCEL, { id: also });
    await comes('the end', () => seen.end === 'complete');
    expect([watched(), statuses(seen)]).toEqual([[], ['PENDING', 'PENDING']]);
  });

  it.each([
    ['none', []],
    ['101', Array.from({ length: 101 }, (_, index) => String(index))],
  ])('refuses to watch %s at a time', async (_, ids) => {
    const seen = subscribe(await as('42'), { query: MANY, variables: { ids } });
    await comes('the end', () => seen.end === 'complete');
    expect(seen.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', reason: 'ASSET_COUNT' });
  });

  it.each<[string, SubscribePayload, (string | number)[]]>([
    ['a variable', { query: MANY, variables: { ids: ['a', { b: 1 }] } }, ['ids', 1]],
    ['a variable that is missing', { query: ONE }, ['id']],
    ['a literal', { query: 'subscription { assetChanged(id: true) { id } }' }, ['id']],
  ])('names the path of a wrong value in %s', async (_, payload, path) => {
    const seen = subscribe(await as('42'), payload);
    await comes('the end', () => seen.end === 'complete');
    expect(seen.errors.map(({ extensions }) => extensions)).toEqual([expect.objectContaining({ path })]);
  });

  it('lets a reader out who may not read any more', async () => {
    const id = await pending('42', [{ principal: 'user:44', permissions: ['READ'] }]);
    const seen = await watch(id, '44');
    await comes('the first state', () => seen.states.length === 1);
    expect(seen.states[0]).toMatchObject({ viewerPermissions: ['READ'], acl: [] });
    await database.query('delete from asset_acl where asset_id = $1', [id]);
    await api.query(CANCEL, { id });
    await comes('the end', () => seen.end === 'complete');
    expect(statuses(seen)).toEqual(['PENDING']);
  });

  it('lets a reader out who takes their time, before the next asset', async () => {
    const acl = [{ principal: 'user:44', permissions: ['READ'] }];
    const ids = [await pending('42', acl), await pending('42', acl)];
    const reader = { ownerId: 44n, groups: [], isAdmin: false };
    const states = await api.app.get(AssetChangesService, { strict: false }).watch(reader, ids);
    expect(await states.next()).toMatchObject({ value: { id: ids[0] } });
    await database.query('delete from asset_acl where asset_id = any($1)', [ids]);
    const since = performance.now();
    await until('a second has passed', () => performance.now() - since > 1_000 || null);
    expect(await states.next()).toEqual({ done: true, value: undefined });
  });

  it('ends with the token', async () => {
    const id = await pending();
    // What is over for less than half a minute still counts: clocks differ.
    const seen = subscribe(await as('42', '-20s'), { query: ONE, variables: { id } });
    await comes('the first state', () => seen.states.length === 1);
    await comes('the end', () => seen.end === 'complete');
    expect(seen.errors).toEqual([]);
  });

  it('ends by the time of the database', async () => {
    const id = await pending();
    const until = new Date(Date.now() + 3_600_000);
    const actor = { ownerId: 42n, groups: [], isAdmin: false, until };
    const states = await withLocalClockOff(7_200_000, api.app.get(Clock), () =>
      api.app.get(AssetChangesService).watch(actor, [id]),
    );
    expect(await states.next()).toMatchObject({ value: { status: 'PENDING' } });
    await api.query(CANCEL, { id });
    expect(await states.next()).toMatchObject({ value: { status: 'CANCELLED' } });
    await states.return?.();
  });

  it.each([
    ['no token', {}],
    ['a wrong token', { Authorization: 'Bearer x.y.z' }],
    ['a token that is no text', { authorization: 42 }],
  ])('closes the socket of %s', async (_, params) => {
    const seen = subscribe(open(params), { query: ONE, variables: { id: 'x' } });
    await comes('the end', () => seen.end !== null);
    expect(seen).toMatchObject({ end: 4401, states: [] });
  });

  const refused: Record<string, [query: string, code: string, reason?: string]> = {
    'a query': ['{ viewer { id } }', 'BAD_USER_INPUT', 'SUBSCRIPTIONS_ONLY'],
    'an unknown field': ['subscription { nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    'what cannot be read': ['subscription {', 'GRAPHQL_PARSE_FAILED'],
    'what is too long': [
      `subscription { assetChanged(id: "x") { ${'id '.repeat(3_000)} } }`,
      'BAD_USER_INPUT',
      'TOO_MANY_TOKENS',
    ],
    'too many aliases': [
      `subscription { assetChanged(id: "x") { ${Array.from({ length: 31 }, (_, i) => `a${i}: id`).join(' ')} } }`,
      'BAD_USER_INPUT',
      'TOO_MANY_ALIASES',
    ],
  };
  it.each(Object.entries(refused))('refuses %s', async (_, [query, code, reason]) => {
    const seen = subscribe(await as('42'), { query });
    await comes('the end', () => seen.end === 'complete');
    expect(seen.errors[0]?.extensions).toEqual(reason === undefined ? { code } : { code, reason });
  });

  it.each([null, '42'])('refuses a subscription by POST, of %s', async (subject) => {
    const { data, errors } = await api.query('subscription { assetChanged(id: "x") { id } }', {}, subject);
    expect(data).toBeUndefined();
    expect(errors?.map(({ extensions }) => extensions)).toEqual([
      { code: 'BAD_USER_INPUT', reason: 'SUBSCRIPTION_OVER_HTTP' },
    ]);
  });

  it('hears of changes that were told while it could not listen', async () => {
    const id = await pending();
    const seen = await watch(id);
    await comes('the first state', () => seen.states.length === 1);
    const { rowCount } = await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stowage feed' and datname = current_database()`,
    );
    expect(rowCount).toBe(1);
    await api.query(CANCEL, { id });
    await comes('the change', () => seen.states.length === 2);
  });

  it('delivers what a process wrote that died before it could tell', async () => {
    const id = await pending();
    const seen = await watch(id);
    await comes('the first state', () => seen.states.length === 1);
    await database.query(
      `with changed as (
         update media_assets set status = 'CANCELLED', version = version + 1 where asset_id = $1 returning asset_id, owner_id)
       insert into domain_events (type, asset_id, owner_id) select 'asset.cancelled', asset_id, owner_id from changed`,
      [id],
    );
    await comes('the change', () => seen.states.length === 2);
    const { rows } = await database.query('select 1 from domain_events where delivered_at is null');
    expect(rows).toEqual([]);
  });

  it('stops watching for whoever stops listening', async () => {
    const id = await pending();
    const client = await as('42');
    const seen = subscribe(client, { query: ONE, variables: { id } });
    await comes('the first state', () => seen.states.length === 1);
    seen.stop();
    const again = subscribe(client, { query: ONE, variables: { id } });
    await comes('its first state', () => again.states.length === 1);
    await api.query(CANCEL, { id });
    await comes('its change', () => again.states.length === 2);
    expect(statuses(seen)).toEqual(['PENDING']);
  });

  it('has room for a hundred subscriptions in a socket', async () => {
    const id = await pending();
    const client = await as('45');
    const acl = [{ principal: 'user:45', permissions: ['READ'] }];
    const shared = await pending('42', acl);
    expect(shared).not.toBe(id);
    const all = Array.from({ length: 101 }, () =>
      subscribe(client, { query: ONE, variables: { id: shared } }),
    );
    await comes('a hundred states', () => all.filter(({ states }) => states.length === 1).length === 100);
    const [refused] = all.filter(({ states }) => states.length === 0);
    await comes('a refusal', () => refused?.end === 'complete');
    expect(refused?.errors[0]?.extensions).toMatchObject({ reason: 'TOO_MANY_SUBSCRIPTIONS' });
  });

  it('has room for a hundred sockets of an owner', async () => {
    const id = await pending('46');
    const all = await Promise.all(Array.from({ length: 101 }, () => watch(id, '46')));
    await comes('a hundred states', () => all.filter(({ states }) => states.length === 1).length === 100);
    const [refused] = all.filter(({ states }) => states.length === 0);
    await comes('a refusal', () => refused?.end === 4429);
  });

  it('closes the socket on a message that is too large', async () => {
    const seen = subscribe(await as('42'), { query: `# ${'x'.repeat(200_000)}\n${ONE}` });
    await comes('the end', () => seen.end !== null);
    expect(seen.end).toBe(1009);
  });

  it.each([
    ['/graphql', 'rebound.example', 403],
    ['/other', null, 404],
  ])('answers an upgrade of %s for %s with %d', async (route, host, status) => {
    await using closed = await TestApi.start({ ALLOWED_HOSTS: '127.0.0.1:1' });
    const socket = connect(closed.port, '127.0.0.1');
    const lines = [
      `GET ${route} HTTP/1.1`,
      `Host: ${host ?? '127.0.0.1:1'}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    await comes('the answer', () => text.includes('\r\n\r\n'));
    expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    socket.destroy();
  });

  it('says goodbye when it stops', async () => {
    const stopping = await TestApi.start();
    const client = createClient({
      url: `ws://127.0.0.1:${stopping.port}/graphql`,
      webSocketImpl: WebSocket,
      connectionParams: { authorization: `Bearer ${await signJwt('42')}` },
      retryAttempts: 0,
      lazy: false,
      onNonLazyError: () => undefined,
    });
    clients.push(client);
    const closed = new Promise<number>((resolve) =>
      client.on('closed', (event) => resolve((event as { code: number }).code)),
    );
    await new Promise<void>((resolve) => client.on('connected', () => resolve()));
    await stopping[Symbol.asyncDispose]();
    expect(await closed).toBe(1001);
  });
});
