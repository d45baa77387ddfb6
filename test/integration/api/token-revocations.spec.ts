import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JWTPayload } from 'jose';
import { WebSocket } from 'ws';
import { signJwt } from '../../../libs/testing/src/environment.js';
import type { Answer } from '../../../libs/testing/src/test-api.js';
import { until } from '../../../libs/testing/src/until.js';
import { Fleet, type Member } from '../../support/fleet.js';

const INPUT = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: 'ab'.repeat(32) };
const REQUEST = 'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }';
const REVOKE =
  'mutation ($ownerId: ID!, $before: DateTime!) { revokeTokens(ownerId: $ownerId, before: $before) }';
const ADMIN = { scope: 'stowage.admin' };
const now = () => Math.floor(Date.now() / 1000);
const instant = (seconds: number) => new Date(seconds * 1000).toISOString();

/** A socket, and how it ended. */
interface Opened {
  readonly socket: WebSocket;
  readonly messages: { readonly type: string }[];
  end: [code: number, reason: string] | null;
}

describe('revokeTokens (real: two apis as processes, PostgreSQL, HTTP, sockets)', () => {
  let fleet: Fleet;
  const sockets: WebSocket[] = [];
  beforeAll(async () => {
    fleet = await Fleet.start({ apis: 2, workers: 0 });
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await fleet?.[Symbol.asyncDispose]();
  });

  async function query(
    api: Member,
    [subject, claims]: [string, JWTPayload],
    text: string,
    variables: object = {},
  ): Promise<Answer> {
    const response = await api.fetch('/graphql', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await signJwt(subject, claims)}`,
      },
      body: JSON.stringify({ query: text, variables }),
    });
    return (await response.json()) as Answer;
  }
  const revoke = (ownerId: string, seconds: number, claims: JWTPayload = ADMIN) =>
    query(fleet.apis[0]!, ['1', claims], REVOKE, { ownerId, before: instant(seconds) });

  /** Opens a socket of a subject, which subscribes to an asset. */
  async function open(
    api: Member,
    subject: string,
    claims: JWTPayload,
    { id, ...params }: { readonly id?: string; readonly [header: string]: string | undefined } = {},
  ): Promise<Opened> {
    const socket = new WebSocket(`ws://127.0.0.1:${api.port}/graphql`, 'graphql-transport-ws');
    sockets.push(socket);
    const opened: Opened = { socket, messages: [], end: null };
    socket.on('message', (data: Buffer) =>
      opened.messages.push(JSON.parse(data.toString()) as { type: string }),
    );
    socket.on('close', (code, reason) => (opened.end = [code, reason.toString()]));
    await once(socket, 'open');
    const authorization = `Bearer ${await signJwt(subject, claims)}`;
    socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization, ...params } }));
    await until('the socket is accepted or closed', () => opened.messages[0] ?? opened.end);
    if (id !== undefined) {
      const subscription = `subscription { assetChanged(id: "${id}") { status } }`;
      socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload: { query: subscription } }));
      await until('the first state', () => opened.messages.find(({ type }) => type === 'next') ?? null);
    }
    return opened;
  }

  it('ends older tokens, open sockets and subscriptions of the owner in every process', async () => {
    const issued = now() - 100;
    const owner: [string, JWTPayload] = ['42', { iat: issued }];
    const { data } = await query(fleet.apis[0]!, owner, REQUEST, { input: INPUT });
    const { id } = (data!.requestUpload as { asset: { id: string } }).asset;
    const older = await Promise.all(fleet.apis.map((api) => open(api, '42', { iat: issued }, { id })));
    const undated = await open(fleet.apis[1]!, '42', {}, { id });
    const service = { iat: issued, scope: 'stowage.delegate' };
    const left = await Promise.all([
      open(fleet.apis[1]!, '42', { iat: issued + 1 }, { id }),
      open(fleet.apis[1]!, '43', { iat: issued }),
      open(fleet.apis[1]!, 'mailer', service, { 'x-stowage-on-behalf-of': '42', id }),
    ]);

    for (let again = 0; again < 2; again++)
      expect(await revoke('42', issued + 1)).toEqual({ data: { revokeTokens: true } });

    await until('the sockets close', () => [...older, undated].every(({ end }) => end) || null);
    for (const { end } of [...older, undated]) expect(end).toEqual([4401, 'TOKEN_REVOKED']);
    for (const api of fleet.apis) {
      expect((await query(api, owner, '{ viewer { id } }')).errors).toMatchObject([
        { extensions: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED' } },
      ]);
      expect((await open(api, '42', { iat: issued })).end).toEqual([4401, 'TOKEN_REVOKED']);
      const newer: [string, JWTPayload] = ['42', { iat: issued + 1 }];
      expect((await query(api, newer, '{ viewer { id } }')).data).toEqual({ viewer: { id: '42' } });
    }
    for (const { socket, end } of left) {
      expect(end).toBeNull();
      socket.send('{"type":"ping"}');
      await once(socket, 'message');
    }
  });

  it('ends the delegated sockets of a service by the owner id of the service', async () => {
    const issued = now() - 100;
    const service = { iat: issued, scope: 'stowage.delegate' };
    const delegated = await open(fleet.apis[1]!, '900', service, { 'x-stowage-on-behalf-of': '44' });
    expect(delegated.end).toBeNull();
    await revoke('900', issued + 1);
    await until('the socket closes', () => delegated.end);
    expect(delegated.end).toEqual([4401, 'TOKEN_REVOKED']);
  });

  it('is FORBIDDEN to other callers and refuses invalid values', async () => {
    const refusals: [Answer, code: string, reason: string, path?: string[]][] = [
      [await revoke('45', now(), {}), 'FORBIDDEN', 'OPERATORS_ONLY'],
      [await revoke('-1', now()), 'BAD_USER_INPUT', 'OWNER_ID_INVALID', ['ownerId']],
      [await revoke('45', now() + 3600), 'BAD_USER_INPUT', 'REVOCATION_IN_FUTURE', ['before']],
    ];
    for (const [{ data, errors }, code, reason, path] of refusals) {
      expect(data ?? null).toBeNull();
      expect(errors).toMatchObject([{ extensions: { code, reason, ...(path && { path }) } }]);
    }
    const token: [string, JWTPayload] = ['45', { iat: now() - 100 }];
    expect((await query(fleet.apis[0]!, token, '{ viewer { id } }')).data).toEqual({ viewer: { id: '45' } });
  });
});
