import { once } from 'node:events';
import http from 'node:http';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { Fleet, signJwt } from '../../support/fleet.js';
import type { Answer } from './test-api.js';

const VIEWER = '{ viewer { id } }';
const ON_BEHALF_OF = 'x-stowage-on-behalf-of';

describe('acting for another owner (real: an api as a process, PostgreSQL, HTTP, sockets)', () => {
  let fleet: Fleet;
  let authorization: string;
  beforeAll(async () => {
    fleet = await Fleet.start({ workers: 0 });
    authorization = `Bearer ${await signJwt('mailer', { scope: 'stowage.delegate' })}`;
  }, 60_000);
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  /** An operation of the service, for whom these bytes name. */
  async function query(text: string, variables: object, onBehalfOf: Buffer): Promise<Answer> {
    const { port } = fleet.apis[0]!;
    const headers = {
      authorization,
      'content-type': 'application/json',
      [ON_BEHALF_OF]: onBehalfOf.toString('latin1'),
    };
    const request = http.request({ port, path: '/graphql', method: 'POST', headers });
    // Bytes: Node would write the headers in the encoding of a text that follows.
    request.end(Buffer.from(JSON.stringify({ query: text, variables })));
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return (await json(response)) as Answer;
  }

  /** A socket of the service, for whom this names: what it is answered first, or why it is closed. */
  async function connect(onBehalfOf: unknown): Promise<{ socket: WebSocket; answer: unknown }> {
    const socket = new WebSocket(`ws://127.0.0.1:${fleet.apis[0]!.port}/graphql`, 'graphql-transport-ws');
    await once(socket, 'open');
    const answer = Promise.race([
      once(socket, 'message').then(([data]) => JSON.parse(String(data)) as unknown),
      once(socket, 'close').then(([code, reason]) => [code as number, String(reason)]),
    ]);
    socket.send(
      JSON.stringify({ type: 'connection_init', payload: { authorization, [ON_BEHALF_OF]: onBehalfOf } }),
    );
    return { socket, answer: await answer };
  }

  const idOf = async (subject: string) =>
    (await fleet.query<{ viewer: { id: string } }>(VIEWER, {}, subject)).viewer.id;

  const ACKNOWLEDGED = { type: 'connection_ack' };
  const owners: Record<string, string> = {
    'a number': '42',
    'plain characters': 'auth0|x',
    'others of Europe': 'müller',
    'what they look like in another encoding': Buffer.from('müller').toString('latin1'),
    'others of Asia': '山田',
    'the most there can be': '😀'.repeat(255),
    'a byte order mark in front': '\ufeff42',
  };
  it.each(Object.entries(owners))(
    'reaches who is named by %s, the one whose own token says so',
    async (_, subject) => {
      const id = await idOf(subject);
      const { data } = await query(VIEWER, {}, Buffer.from(subject));
      expect(data).toEqual({ viewer: { id } });
      const { socket, answer } = await connect(subject);
      expect(answer).toEqual(ACKNOWLEDGED);
      const input = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: 'ab'.repeat(32) };
      const { requestUpload } = await fleet.query<{ requestUpload: { asset: { id: string } } }>(
        'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }',
        { input },
        subject,
      );
      const payload = { query: `subscription { assetChanged(id: "${requestUpload.asset.id}") { status } }` };
      socket.send(JSON.stringify({ type: 'subscribe', id: '1', payload }));
      const [message] = (await once(socket, 'message')) as [Buffer];
      expect(JSON.parse(String(message))).toMatchObject({
        payload: { data: { assetChanged: { status: 'PENDING' } } },
      });
      socket.terminate();
    },
  );

  const nobody: Record<string, Buffer> = {
    'nobody’s name': Buffer.from(''),
    'ISO 8859-1': Buffer.from('müller', 'latin1'),
    'half a character': Buffer.from('müller').subarray(0, 2),
    'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
    'a control character': Buffer.from('a\u0085b'),
    '256 characters': Buffer.from('é'.repeat(256)),
  };
  it.each(Object.entries(nobody))('refuses %s in the header', async (_, name) => {
    const { errors } = await query(VIEWER, {}, name);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason: 'SUBJECT_INVALID' } }]);
  });

  const nothing: Record<string, unknown> = {
    'nobody’s name': '',
    NUL: 'a\0b',
    'half a character': '\ud800',
    '256 characters': 'é'.repeat(256),
    'a number': 7,
    'a list': ['7'],
  };
  it.each(Object.entries(nothing))(
    'closes a socket that names %s, without an error in the log',
    async (_, name) => {
      const { answer } = await connect(name);
      expect(answer).toEqual([4401, 'SUBJECT_INVALID']);
      expect(fleet.logs).not.toContain('"level":50');
    },
  );

  it('takes a socket that names null for one that names nobody', async () => {
    const { socket, answer } = await connect(null);
    expect(answer).toEqual(ACKNOWLEDGED);
    socket.terminate();
  });
});
