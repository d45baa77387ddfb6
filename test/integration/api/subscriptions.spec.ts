import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Client, createClient, type SubscribePayload } from 'graphql-ws';
import pg from 'pg';
import { WebSocket } from 'ws';
import { Clock } from '#libs/database';
import { AssetFeed } from '#libs/events';
import { AssetChangesService } from '../../../libs/assets/src/asset-changes.service.js';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { until } from '../../../libs/testing/src/until.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

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

/** Results of one subscription so far. */
interface Received {
  readonly states: Changed[];
  readonly errors: { readonly message: string; readonly extensions?: Record<string, unknown> }[];
  /** Close code of the socket, 'complete', or null while the subscription runs. */
  end: number | 'complete' | null;
  stop(): void;
}

describe('subscriptions (real: PostgreSQL, HTTP, sockets)', () => {
  let api: TestApi;
  let database: pg.Client;
  /** A subscription with a token that expires. */
  let expiring: Received;
  const clients: Client[] = [];
  beforeAll(async () => {
    api = await TestApi.start();
    database = new pg.Client({ connectionString: api.databaseUrl });
    await database.connect();
    // A token is accepted for 30 seconds after its expiry, because clocks differ. The other tests run meanwhile.
    const variables = { id: await pending() };
    expiring = subscribe(await as('42', '-20s'), { query: ONE, variables });
    await waitFor('the first state', () => expiring.states.length === 1);
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

  function subscribe(client: Client, payload: SubscribePayload): Received {
    const received: Received = { states: [], errors: [], end: null, stop: () => undefined };
    received.stop = client.subscribe<Record<string, Changed>>(payload, {
      next: ({ data, errors = [] }) => {
        received.errors.push(...(errors as Received['errors']));
        const state = Object.values(data ?? {})[0];
        if (state) received.states.push(state);
      },
      error: (error) => {
        if (Array.isArray(error)) received.errors.push(...(error as Received['errors']));
        received.end = Array.isArray(error) ? 'complete' : (error as { code: number }).code;
      },
      complete: () => (received.end ??= 'complete'),
    });
    return received;
  }
  const watch = async (id: string, subject = '42') =>
    subscribe(await as(subject), { query: ONE, variables: { id } });
  const statuses = ({ states }: Received) => states.map(({ status }) => status);
  const waitFor = (what: string, condition: () => boolean) => until(what, () => (condition() ? true : null));

  async function pending(subject = '42', acl?: object[]): Promise<string> {
    const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: SHA256, acl };
    const { data } = await api.query(REQUEST, { input }, subject);
    return (data?.requestUpload as { asset: { id: string } }).asset.id;
  }

  it('sends the current state, then changes, and completes on purge', async () => {
    const id = await pending();
    const received = await watch(id);
    await waitFor('the first state', () => received.states.length === 1);
    await api.query(CANCEL, { id });
    await waitFor('the change', () => received.states.length === 2);
    await api.query(PURGE, { id });
    await waitFor('the end', () => received.end === 'complete');
    expect(statuses(received)).toEqual(['PENDING', 'CANCELLED']);
    expect(received.states[0]).toMatchObject({ id, viewerPermissions: ['READ', 'WRITE', 'DELETE'], acl: [] });
    expect(received.errors).toEqual([]);
  });

  it('answers identically for an inaccessible and an unknown asset', async () => {
    const id = await pending();
    const answers = [
      await watch(id, '43'),
      await watch('01a204b4-f6dd-72d6-be10-e023dab1bad7'),
      await watch('no id'),
    ];
    for (const { end } of answers) expect(end).toBeNull();
    await waitFor('all ends', () => answers.every(({ end }) => end === 'complete'));
    const [first, ...others] = answers.map(({ states, errors }) => ({ states, errors }));
    expect(first).toMatchObject({
      states: [],
      errors: [{ extensions: { code: 'NOT_FOUND', reason: 'ASSET_NOT_FOUND' } }],
    });
    for (const other of others) expect(other).toEqual(first);
  });

  it('watches many assets and skips those that the caller cannot read', async () => {
    const [mine, also, other] = [await pending(), await pending(), await pending('43')];
    const received = subscribe(await as('42'), {
      query: MANY,
      variables: { ids: [mine, other, also, mine] },
    });
    await waitFor('both states', () => received.states.length === 2);
    expect(received.states.map(({ id }) => id)).toEqual([mine, also]);
    await api.query(CANCEL, { id: also });
    await waitFor('the change', () => received.states.length === 3);
    await api.query(CANCEL, { id: mine });
    await waitFor('the other change', () => received.states.length === 4);
    await api.query(PURGE, { id: mine });
    expect(received.end).toBeNull();
    await api.query(PURGE, { id: also });
    await waitFor('the end', () => received.end === 'complete');
    expect(statuses(received)).toEqual(['PENDING', 'PENDING', 'CANCELLED', 'CANCELLED']);
  });

  it('does not watch assets that the caller cannot read, or can no longer read', async () => {
    const acl = [{ principal: 'user:48', permissions: ['READ'] }];
    const [granted, also, strange] = [
      await pending('42', acl),
      await pending('42', acl),
      await pending('42'),
    ];
    const missing = '01a204b4-f6dd-72d6-be10-e023dab1bad7';
    const feed = api.app.get<unknown, { readonly watches: ReadonlyMap<string, unknown> }>(AssetFeed, {
      strict: false,
    });
    const watched = () => [granted, also, strange, missing].filter((id) => feed.watches.has(id));
    const ids = [strange, granted, missing, also];
    const received = subscribe(await as('48'), { query: MANY, variables: { ids } });
    await waitFor('both states', () => received.states.length === 2);
    expect(watched()).toEqual([granted, also]);
    await database.query('delete from asset_acl where asset_id = $1', [granted]);
    await api.query(CANCEL, { id: granted });
    await waitFor('one asset is no longer watched', () => watched().length === 1);
    expect(watched()).toEqual([also]);
    await database.query('delete from asset_acl where asset_id = $1', [also]);
    await api.query(CANCEL, { id: also });
    await waitFor('the end', () => received.end === 'complete');
    expect([watched(), statuses(received)]).toEqual([[], ['PENDING', 'PENDING']]);
  });

  it.each([
    ['no', []],
    ['101', Array.from({ length: 101 }, (_, index) => String(index))],
  ])('rejects a subscription to %s assets', async (_, ids) => {
    const received = subscribe(await as('42'), { query: MANY, variables: { ids } });
    await waitFor('the end', () => received.end === 'complete');
    expect(received.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', reason: 'ASSET_COUNT' });
  });

  it.each<[string, SubscribePayload, (string | number)[]]>([
    ['a variable', { query: MANY, variables: { ids: ['a', { b: 1 }] } }, ['ids', 1]],
    ['a variable that is missing', { query: ONE }, ['id']],
    ['a literal', { query: 'subscription { assetChanged(id: true) { id } }' }, ['id']],
  ])('reports the path of an invalid value in %s', async (_, payload, path) => {
    const received = subscribe(await as('42'), payload);
    await waitFor('the end', () => received.end === 'complete');
    expect(received.errors.map(({ extensions }) => extensions)).toEqual([expect.objectContaining({ path })]);
  });

  it('ends the subscription of a reader who loses access', async () => {
    const id = await pending('42', [{ principal: 'user:44', permissions: ['READ'] }]);
    const received = await watch(id, '44');
    await waitFor('the first state', () => received.states.length === 1);
    expect(received.states[0]).toMatchObject({ viewerPermissions: ['READ'], acl: [] });
    await database.query('delete from asset_acl where asset_id = $1', [id]);
    await api.query(CANCEL, { id });
    await waitFor('the end', () => received.end === 'complete');
    expect(statuses(received)).toEqual(['PENDING']);
  });

  it('ends the subscription of a slow reader who lost access before the next asset', async () => {
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

  it('ends by database time rather than the local clock', async () => {
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
    ['an invalid token', { Authorization: 'Bearer x.y.z' }],
    ['a token that is not a string', { authorization: 42 }],
  ])('closes a socket with %s', async (_, params) => {
    const received = subscribe(open(params), { query: ONE, variables: { id: 'x' } });
    await waitFor('the end', () => received.end !== null);
    expect(received).toMatchObject({ end: 4401, states: [] });
  });

  const refused: Record<string, [query: string, code: string, reason?: string]> = {
    'a query': ['{ viewer { id } }', 'BAD_USER_INPUT', 'SUBSCRIPTIONS_ONLY'],
    'an unknown field': ['subscription { nothing }', 'GRAPHQL_VALIDATION_FAILED'],
    'an unparsable document': ['subscription {', 'GRAPHQL_PARSE_FAILED'],
    'too many tokens': [
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
  it.each(Object.entries(refused))('rejects %s', async (_, [query, code, reason]) => {
    const received = subscribe(await as('42'), { query });
    await waitFor('the end', () => received.end === 'complete');
    expect(received.errors[0]?.extensions).toEqual(reason === undefined ? { code } : { code, reason });
  });

  it.each([null, '42'])('rejects a subscription by POST from %s', async (subject) => {
    const { data, errors } = await api.query('subscription { assetChanged(id: "x") { id } }', {}, subject);
    expect(data).toBeUndefined();
    expect(errors?.map(({ extensions }) => extensions)).toEqual([
      { code: 'BAD_USER_INPUT', reason: 'SUBSCRIPTION_OVER_HTTP' },
    ]);
  });

  it('delivers changes that were made while its database connection was down', async () => {
    const id = await pending();
    const received = await watch(id);
    await waitFor('the first state', () => received.states.length === 1);
    const { rowCount } = await database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stowage feed' and datname = current_database()`,
    );
    expect(rowCount).toBe(1);
    await api.query(CANCEL, { id });
    await waitFor('the change', () => received.states.length === 2);
  });

  it('delivers the event of a process that died before it sent a notification', async () => {
    const id = await pending();
    const received = await watch(id);
    await waitFor('the first state', () => received.states.length === 1);
    await database.query(
      `with changed as (
         update media_assets set status = 'CANCELLED', version = version + 1 where asset_id = $1 returning asset_id, owner_id)
       insert into domain_events (type, asset_id, owner_id) select 'asset.cancelled', asset_id, owner_id from changed`,
      [id],
    );
    await waitFor('the change', () => received.states.length === 2);
    const { rows } = await database.query('select 1 from domain_events where delivered_at is null');
    expect(rows).toEqual([]);
  });

  it('stops watching when a client unsubscribes', async () => {
    const id = await pending();
    const client = await as('42');
    const received = subscribe(client, { query: ONE, variables: { id } });
    await waitFor('the first state', () => received.states.length === 1);
    received.stop();
    const again = subscribe(client, { query: ONE, variables: { id } });
    await waitFor('its first state', () => again.states.length === 1);
    await api.query(CANCEL, { id });
    await waitFor('its change', () => again.states.length === 2);
    expect(statuses(received)).toEqual(['PENDING']);
  });

  it('allows a hundred subscriptions per socket', async () => {
    const id = await pending();
    const client = await as('45');
    const acl = [{ principal: 'user:45', permissions: ['READ'] }];
    const shared = await pending('42', acl);
    expect(shared).not.toBe(id);
    const all = Array.from({ length: 101 }, () =>
      subscribe(client, { query: ONE, variables: { id: shared } }),
    );
    await waitFor('a hundred states', () => all.filter(({ states }) => states.length === 1).length === 100);
    const [refused] = all.filter(({ states }) => states.length === 0);
    await waitFor('a refusal', () => refused?.end === 'complete');
    expect(refused?.errors[0]?.extensions).toMatchObject({ reason: 'TOO_MANY_SUBSCRIPTIONS' });
  });

  it('allows a hundred sockets per owner', async () => {
    const id = await pending('46');
    const all = await Promise.all(Array.from({ length: 101 }, () => watch(id, '46')));
    await waitFor('a hundred states', () => all.filter(({ states }) => states.length === 1).length === 100);
    const [refused] = all.filter(({ states }) => states.length === 0);
    await waitFor('a refusal', () => refused?.end === 4429);
  });

  it('closes the socket on a message that is too large', async () => {
    const received = subscribe(await as('42'), { query: `# ${'x'.repeat(200_000)}\n${ONE}` });
    await waitFor('the end', () => received.end !== null);
    expect(received.end).toBe(1009);
  });

  it('ends when the token expires', async () => {
    await waitFor('the end', () => expiring.end === 'complete');
    expect(expiring.errors).toEqual([]);
  });

  describe('an upgrade', () => {
    let closed: TestApi;
    beforeAll(async () => {
      closed = await TestApi.start({ ALLOWED_HOSTS: '127.0.0.1:1' });
    });
    afterAll(() => closed[Symbol.asyncDispose]());

    it.each([
      ['/graphql', 'rebound.example', 403],
      ['/other', null, 404],
    ])('of %s for %s is answered with %d', async (route, host, status) => {
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
      await waitFor('the answer', () => text.includes('\r\n\r\n'));
      expect(text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      socket.destroy();
    });
  });

  it('closes sockets with code 1001 on shutdown', async () => {
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
