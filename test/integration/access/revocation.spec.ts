import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { JWTPayload } from 'jose';
import { WebSocket } from 'ws';
import { Database } from '#libs/database';
import { createApi, readApiConfig } from '#libs/stowage/api';
import { appEnvironment, signJwt } from '../../../libs/testing/src/environment.js';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { type Answer, TestApi } from '../../../libs/testing/src/test-api.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';
import { notes, NotesService } from '../../support/notes-feature.js';

const ENV = { RATE_LIMIT_PER_MINUTE: '0', LOG_LEVEL: 'silent' };
const GRANT = 'mutation ($input: GrantAccessInput!) { grantAccess(input: $input) { id } }';
const REVOKE = 'mutation ($input: RevokeAccessInput!) { revokeAccess(input: $input) { id } }';
const REVOKE_TOKENS =
  'mutation ($ownerId: ID!, $before: DateTime!) { revokeTokens(ownerId: $ownerId, before: $before) }';
const ADMIN = { scope: 'stowage.admin' };
const URL_FIELD = 'downloadUrl(expiresInSeconds: 3600) { url expiresAt }';

/** Operations by which a reader learns the id of an asset or gets a URL of its bytes. */
const READS: Readonly<Record<string, string>> = {
  'a list': '{ assets(scope: SHARED) { nodes { id } } }',
  'an asset': 'query ($id: ID!) { asset(id: $id) { id } }',
  'a nested asset': '{ notesOfViewer(first: 1) { nodes { asset { id } } } }',
  'URLs of a list': `{ assets(scope: SHARED) { nodes { ${URL_FIELD} variants { ${URL_FIELD} } } } }`,
  'a URL': `query ($id: ID!) { asset(id: $id) { ${URL_FIELD} } }`,
};
/** Requests of each reader that begin after the revocation. */
const REQUESTS = 5;

/** `served`, `absent`, or the reason of the error. */
type Outcome = string;

interface Subscription {
  readonly socket: WebSocket;
  readonly states: unknown[];
  /** `complete`, the reason of an error, or the close code. */
  end: string | number | null;
}

/** Requests of a reader, in the order of their starts. */
interface Requests {
  readonly api: number;
  readonly before: Outcome[];
  readonly after: Outcome[];
}

describe('a revoked reader (real: two apis, PostgreSQL, HTTP, sockets)', () => {
  let first: TestApi;
  let second: NestFastifyApplication;
  let database: Database;
  let ports: number[];
  const sockets: WebSocket[] = [];
  beforeAll(async () => {
    first = await TestApi.start(ENV, [notes]);
    database = first.app.get(Database, { strict: false });
    const env = { ...appEnvironment(first.databaseUrl, first.emulators), ...ENV };
    second = await createApi(readApiConfig(env, [notes]), [notes]);
    await second.listen(0, '127.0.0.1');
    ports = [first.port, (second.getHttpServer().address() as AddressInfo).port];
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await second?.close();
    await first?.[Symbol.asyncDispose]();
  });

  let readers = 100;
  let subject: string;
  let id: string;
  /** Claims of the reader's tokens. */
  let claims: JWTPayload;
  let isRevoked: boolean;
  /** Whether each reader goes on until it made {@link REQUESTS} requests after the revocation. */
  let isReading: boolean;
  beforeEach(async () => {
    subject = String(++readers);
    claims = { groups: [`staff-${subject}`], iat: Math.floor(Date.now() / 1000) - 100 };
    id = await storeAsset(database, { variants: [{ name: 'thumb' }], readers: [`group:staff-${subject}`] });
    for (const app of [first.app, second]) {
      const service = app.get(NotesService, { strict: false });
      service.notes.push({ id: BigInt(readers), ownerId: BigInt(readers), assetId: id, text: 'mine' });
    }
    [isRevoked, isReading] = [false, true];
  });
  afterEach(() => void (isReading = false));

  async function query(
    api: number,
    text: string,
    variables: object,
    [by, as]: [string, JWTPayload] = [subject, claims],
  ): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${ports[api]}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await signJwt(by, as)}` },
      body: JSON.stringify({ query: text, variables }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    return (await response.json()) as Answer;
  }
  const asOwner = async (text: string, variables: object) =>
    expect(await query(0, text, variables, ['42', {}])).not.toHaveProperty('errors');

  async function read(api: number, text: string): Promise<Outcome> {
    const { data, errors } = await query(api, text, { id });
    if (errors !== undefined) return errors.map(({ extensions }) => extensions.reason).join();
    const shown = JSON.stringify(data);
    return shown.includes(id) || shown.includes('"url":"') ? 'served' : 'absent';
  }

  /** Repeats each of {@link READS} at each api, one request at a time. */
  function readAll(): { readonly requests: readonly Requests[]; readonly end: Promise<unknown> } {
    const started = ports.flatMap((_, api) =>
      Object.values(READS).map((text) => {
        const requests: Requests = { api, before: [], after: [] };
        const repeat = async () => {
          while (isReading && requests.after.length < REQUESTS) {
            const outcomes = isRevoked ? requests.after : requests.before;
            outcomes.push(await read(api, text));
          }
        };
        return { requests, end: repeat() };
      }),
    );
    return {
      requests: started.map(({ requests }) => requests),
      end: Promise.all(started.map(({ end }) => end)),
    };
  }

  async function subscribe(api: number): Promise<Subscription> {
    const socket = new WebSocket(`ws://127.0.0.1:${ports[api]}/graphql`, 'graphql-transport-ws');
    sockets.push(socket);
    const subscription: Subscription = { socket, states: [], end: null };
    socket.on('close', (code) => (subscription.end ??= code));
    socket.on('message', (data: Buffer) => {
      const { type, payload } = JSON.parse(data.toString()) as { type: string; payload?: Answer };
      if (payload?.errors !== undefined) subscription.end = payload.errors[0]!.extensions.reason ?? null;
      else if (type === 'next') subscription.states.push(payload);
      else if (type === 'complete') subscription.end ??= type;
    });
    await once(socket, 'open');
    const authorization = `Bearer ${await signJwt(subject, claims)}`;
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
    await once(socket, 'message');
    const payload = { query: `subscription { assetChanged(id: "${id}") { id } }` };
    socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
    await until('the first state or the end', () => subscription.states[0] ?? subscription.end);
    return subscription;
  }

  /** Reads at both apis, revokes meanwhile, and returns the requests that began before and after. */
  async function revokeUnderLoad(revoke: () => Promise<unknown>) {
    const subscriptions = [await subscribe(0), await subscribe(1)];
    expect(subscriptions.map(({ states }) => states.length)).toEqual([1, 1]);
    const { requests, end } = readAll();
    await until('all readers are served', () =>
      requests.every(({ before }) => before.includes('served')) ? true : null,
    );
    await revoke();
    isRevoked = true;
    await end;
    return { subscriptions, requests };
  }
  const repeated = (outcome: Outcome) => Array.from({ length: REQUESTS }, () => outcome);
  const ended = (subscriptions: readonly Subscription[]) =>
    until('the subscriptions end', () => (subscriptions.every(({ end }) => end !== null) ? true : null));

  async function expectAbsent(revoke: () => Promise<unknown>): Promise<readonly Subscription[]> {
    const { subscriptions, requests } = await revokeUnderLoad(revoke);
    for (const { before, after } of requests) {
      expect(after).toEqual(repeated('absent'));
      expect(new Set([...before, 'served', 'absent'])).toEqual(new Set(['served', 'absent']));
    }
    return subscriptions;
  }

  it('gets nothing after the grant was revoked', async () => {
    const input = { assetId: id, principal: `group:staff-${subject}` };
    const subscriptions = await expectAbsent(() => asOwner(REVOKE, { input }));
    await ended(subscriptions);
    for (const { end, states } of subscriptions) expect([end, states.length]).toEqual(['complete', 1]);
  });

  it('gets nothing after the grant expired', async () => {
    const principal = `group:staff-${subject}`;
    const endIn = async (milliseconds: number): Promise<string> => {
      const expiresAt = new Date(Date.now() + milliseconds).toISOString();
      const input = { assetId: id, principal, permissions: ['READ'], expiresAt };
      const { errors } = await query(0, GRANT, { input }, ['42', {}]);
      // On a slow machine the time may be over before the grant is written.
      return errors === undefined ? expiresAt : endIn(milliseconds * 2);
    };
    const subscriptions = await expectAbsent(async () => {
      const end = await endIn(2_000);
      await until('the grant has expired', async () => {
        const { rows } = await database.pool.query<object>('select 1 where now() >= $1', [end]);
        return rows[0] ?? null;
      });
    });
    await ended(subscriptions);
    for (const { end, states } of subscriptions) expect([end, states.length]).toEqual(['complete', 1]);
  });

  it('gets nothing with a token of after the removal from the group', async () => {
    await expectAbsent(() => Promise.resolve((claims = { ...claims, groups: [] })));
    for (const api of ports.keys()) expect((await subscribe(api)).end).toBe('ASSET_NOT_FOUND');
  });

  it('is refused after the tokens were revoked', async () => {
    const before = new Date().toISOString();
    const { subscriptions, requests } = await revokeUnderLoad(async () => {
      const answer = await query(0, REVOKE_TOKENS, { ownerId: subject, before }, ['1', ADMIN]);
      expect(answer.data).toEqual({ revokeTokens: true });
      // The answering process refuses the tokens at once, the other one when it hears of the revocation.
      await until('the other api refuses the tokens', async () =>
        (await read(1, READS['a list']!)) === 'TOKEN_REVOKED' ? true : null,
      );
    });
    for (const { after } of requests) expect(after).toEqual(repeated('TOKEN_REVOKED'));
    await ended(subscriptions);
    expect(subscriptions.map(({ end }) => end)).toEqual([4401, 4401]);
    claims = { ...claims, iat: Math.floor(Date.parse(before) / 1000) + 1 };
    expect(await read(1, READS['an asset']!)).toBe('served');
  });

  it('gets no URL that outlives the grant', async () => {
    const end = new Date(Date.now() + 600_000);
    const principal = `group:staff-${subject}`;
    const input = { assetId: id, principal, permissions: ['READ'], expiresAt: end.toISOString() };
    await asOwner(GRANT, { input });
    for (const api of ports.keys()) {
      const nested = `{ notesOfViewer(first: 1) { nodes { asset { ${URL_FIELD} variants { ${URL_FIELD} } } } } }`;
      for (const [text, count] of [
        [READS['URLs of a list']!, 2],
        [READS['a URL']!, 1],
        [nested, 2],
      ] as const) {
        const shown = JSON.stringify(await query(api, text, { id }));
        const ends = [...shown.matchAll(/"expiresAt":"([^"]+)"/g)].map(([, instant]) => Date.parse(instant!));
        expect(ends).toHaveLength(count);
        for (const instant of ends) {
          expect(instant).toBeLessThanOrEqual(end.getTime());
          expect(instant).toBeGreaterThan(end.getTime() - 2_000);
        }
      }
    }
  });
});
