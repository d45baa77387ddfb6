import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { json } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildSchema } from 'graphql';
import pg from 'pg';
import { WebSocket } from 'ws';
import { signJwt } from '../../../libs/testing/src/environment.js';
import { Fleet } from '../../support/fleet.js';
import { until } from '../../../libs/testing/src/until.js';
import type { Answer } from '../../../libs/testing/src/test-api.js';

const SCHEMA = path.resolve(import.meta.dirname, '../../../apps/api/schema.graphql');
const INPUT = { filename: 'f', mimeType: 'text/plain', sizeBytes: 6, checksumSha256: 'ab'.repeat(32) };
const REQUEST = 'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }';
const VIEWER = '{ viewer { id } }';
const ON_BEHALF_OF = 'x-stowage-on-behalf-of';

describe('delegation (real: an api as a process, PostgreSQL, HTTP, sockets)', () => {
  let fleet: Fleet;
  let database: pg.Client;
  let authorization: string;
  beforeAll(async () => {
    fleet = await Fleet.start({ workers: 0 });
    database = new pg.Client({ connectionString: fleet.database.url });
    await database.connect();
    authorization = `Bearer ${await signJwt('mailer', { scope: 'stowage.delegate' })}`;
  });
  afterAll(async () => {
    await database?.end();
    await fleet?.[Symbol.asyncDispose]();
  });

  /** Sends an operation of the service on behalf of the subject in `onBehalfOf`, or for itself (`null`). */
  async function query(
    text: string,
    variables: object,
    onBehalfOf: Buffer | null,
    requestId = randomUUID(),
  ): Promise<Answer> {
    const { port } = fleet.apis[0]!;
    const headers = {
      authorization,
      'content-type': 'application/json',
      'x-request-id': requestId,
      ...(onBehalfOf && { [ON_BEHALF_OF]: onBehalfOf.toString('latin1') }),
    };
    const request = http.request({ port, path: '/graphql', method: 'POST', headers });
    // A Buffer, because Node.js would write the headers in the encoding of a string body.
    request.end(Buffer.from(JSON.stringify({ query: text, variables })));
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return (await json(response)) as Answer;
  }

  /** Opens a socket of the service for a subject; `answer` is the first message, or the close code and reason. */
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

  type Requested = { requestUpload: { asset: { id: string } } };
  const subscribe = (socket: WebSocket, id: string) =>
    socket.send(
      JSON.stringify({
        type: 'subscribe',
        id: '1',
        payload: { query: `subscription { assetChanged(id: "${id}") { status } }` },
      }),
    );
  const idOf = async (subject: string) =>
    (await fleet.query<{ viewer: { id: string } }>(VIEWER, {}, subject)).viewer.id;

  const ACKNOWLEDGED = { type: 'connection_ack' };
  const owners: Record<string, string> = {
    'a number': '42',
    'ASCII characters': 'auth0|x',
    'European characters': 'müller',
    'European characters decoded as ISO 8859-1': Buffer.from('müller').toString('latin1'),
    'Asian characters': '山田',
    'the maximum length': '😀'.repeat(255),
    'a leading byte order mark': '\ufeff42',
  };
  it.each(Object.entries(owners))(
    'acts for the owner that a token with this subject identifies: %s',
    async (_, subject) => {
      const id = await idOf(subject);
      const { data } = await query(VIEWER, {}, Buffer.from(subject));
      expect(data).toEqual({ viewer: { id } });
      const { socket, answer } = await connect(subject);
      expect(answer).toEqual(ACKNOWLEDGED);
      const { requestUpload } = await fleet.query<Requested>(REQUEST, { input: INPUT }, subject);
      subscribe(socket, requestUpload.asset.id);
      const [message] = (await once(socket, 'message')) as [Buffer];
      expect(JSON.parse(String(message))).toMatchObject({
        payload: { data: { assetChanged: { status: 'PENDING' } } },
      });
      socket.terminate();
    },
  );

  const invalidHeaders: Record<string, Buffer> = {
    'an empty name': Buffer.from(''),
    'ISO 8859-1': Buffer.from('müller', 'latin1'),
    'a truncated character': Buffer.from('müller').subarray(0, 2),
    'a surrogate': Buffer.from([0xed, 0xa0, 0x80]),
    'a control character': Buffer.from('a\u0085b'),
    '256 characters': Buffer.from('é'.repeat(256)),
  };
  it.each(Object.entries(invalidHeaders))('rejects %s in the header', async (_, name) => {
    const { errors } = await query(VIEWER, {}, name);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', reason: 'SUBJECT_INVALID' } }]);
  });

  const invalidParams: Record<string, unknown> = {
    'an empty name': '',
    NUL: 'a\0b',
    'a lone surrogate': '\ud800',
    '256 characters': 'é'.repeat(256),
    'a number': 7,
    'a list': ['7'],
  };
  it.each(Object.entries(invalidParams))(
    'closes a socket for %s without logging an error',
    async (_, name) => {
      const { answer } = await connect(name);
      expect(answer).toEqual([4401, 'SUBJECT_INVALID']);
      expect(fleet.logs).not.toContain('"level":50');
    },
  );

  it('treats the subject null on a socket as absent', async () => {
    const { socket, answer } = await connect(null);
    expect(answer).toEqual(ACKNOWLEDGED);
    socket.terminate();
  });

  type Line = { level: number; msg: string; reqId?: string; ownerId?: string; delegate?: string };
  const lines = (wanted: (line: Line) => boolean) =>
    fleet.logs
      .split('\n')
      .filter((text) => text.startsWith('{'))
      .map((text) => JSON.parse(text) as Line)
      .filter(wanted);
  /** Log lines of a request, up to its last one. */
  const linesOf = (requestId: string) =>
    until('the request is logged', () => {
      const own = lines(({ reqId }) => reqId === requestId);
      return own.some(({ msg }) => msg === 'request') ? own : null;
    });

  const mutations: Record<string, [text: string, more?: string[]]> = {
    requestUploads: [
      'mutation ($input: RequestUploadInput!) { requestUploads(inputs: [$input]) { __typename } }',
      ['upload requested'],
    ],
    requestUpload: [REQUEST, ['upload requested']],
    replaceUpload: [
      'mutation ($id: ID!, $input: RequestUploadInput!) { replaceUpload(id: $id, input: $input) { asset { id } } }',
    ],
    renewUpload: ['mutation ($id: ID!) { renewUpload(assetId: $id) { url } }'],
    completeUpload: ['mutation ($id: ID!) { completeUpload(assetId: $id) { id } }'],
    cancelUpload: ['mutation ($id: ID!) { cancelUpload(assetId: $id) { id } }', ['upload cancelled']],
    updateAsset: ['mutation ($id: ID!) { updateAsset(input: { id: $id, filename: "g" }) { id } }'],
    updateAssets: ['mutation ($id: ID!) { updateAssets(inputs: [{ id: $id }]) { code } }'],
    deleteAssets: ['mutation ($id: ID!) { deleteAssets(ids: [$id]) { code } }'],
    grantAccess: [
      'mutation ($id: ID!) { grantAccess(input: { assetId: $id, principal: "*", permissions: [READ] }) { id } }',
      ['access list changed'],
    ],
    revokeAccess: [
      'mutation ($id: ID!) { revokeAccess(input: { assetId: $id, principal: "*" }) { id } }',
      ['access list changed'],
    ],
    deleteAsset: ['mutation ($id: ID!) { deleteAsset(id: $id) { id } }'],
    restoreAsset: ['mutation ($id: ID!) { restoreAsset(id: $id) { id } }'],
    purgeAsset: ['mutation ($id: ID!) { purgeAsset(id: $id) }', ['asset purged']],
    setQuota: [
      'mutation ($id: ID!) { setQuota(ownerId: $id, limitBytes: 1, limitAssets: 1) { limitBytes } }',
    ],
    transferAsset: ['mutation ($id: ID!) { transferAsset(id: $id, ownerId: "1") { id } }'],
    discardDeadLetter: ['mutation ($id: ID!) { discardDeadLetter(id: $id) { id } }'],
    retryDeadLetter: ['mutation ($id: ID!) { retryDeadLetter(id: $id) { id } }'],
    runTask: ['mutation { runTask(task: "expire-uploads") { id } }'],
    confirmTaskRun: ['mutation ($id: ID!) { confirmTaskRun(id: $id) { id } }'],
    revokeTokens: ['mutation ($id: ID!) { revokeTokens(ownerId: $id, before: "2026-01-01T00:00:00Z") }'],
  };
  it('logs owner and delegate in every line of each mutation, whether it succeeds or fails', async () => {
    const ownerId = await idOf('müller');
    let id = 'none yet';
    for (const [text, more = []] of Object.values(mutations)) {
      const requestId = randomUUID();
      const { data } = await query(text, { id, input: INPUT }, Buffer.from('müller'), requestId);
      id = (data as Requested | null)?.requestUpload?.asset.id ?? id;
      const logged = await linesOf(requestId);
      expect(logged.map(({ msg }) => msg)).toEqual([...more, 'request']);
      for (const line of logged) expect(line).toMatchObject({ level: 30, ownerId, delegate: 'mailer' });
    }
  });

  it('covers every mutation of the service', () => {
    // The api serves those of features too.
    const schema = buildSchema(readFileSync(SCHEMA, 'utf8'));
    const served = Object.keys(schema.getMutationType()!.getFields());
    expect(served.sort()).toEqual(Object.keys(mutations).sort());
  });

  it('logs no delegate when the service acts for itself', async () => {
    const requestId = randomUUID();
    await query(VIEWER, {}, null, requestId);
    const [line] = await linesOf(requestId);
    expect(line).toMatchObject({ msg: 'request', ownerId: await idOf('mailer') });
    expect(line).not.toHaveProperty('delegate');
  });

  it('logs owner and delegate when a subscription fails', async () => {
    const { socket } = await connect('müller');
    await database.query('alter table media_assets rename to elsewhere');
    try {
      subscribe(socket, randomUUID());
      const [line] = await until('the error is logged', () => {
        const failed = lines(({ msg }) => msg === 'subscription failed');
        return failed.length > 0 ? failed : null;
      });
      expect(line).toMatchObject({ ownerId: await idOf('müller'), delegate: 'mailer' });
    } finally {
      await database.query('alter table elsewhere rename to media_assets');
      socket.terminate();
    }
  });
});
