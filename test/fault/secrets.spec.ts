import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocket } from 'ws';
import { put } from '../e2e/stack.js';
import { HMAC_KEY, NAMES, PROJECT } from '../../libs/testing/src/emulators.js';
import { FaultRules } from '../support/fault-rules.js';
import { JWT, signJwt } from '../../libs/testing/src/environment.js';
import { Fleet } from '../support/fleet.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { expectReady, hurryTasks, requestUpload, rows, settled, upload } from './uploads.js';
import { LIMIT_MS, until } from '../../libs/testing/src/until.js';

const TOPIC = `projects/${PROJECT}/topics/${NAMES.subscription}`;
const PIECE = 256 * 1024;

describe('logs at level trace (real: an api and a worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  let proxy: TcpProxy;
  let faults: FaultRules;
  /** Secrets by their descriptions. No log line may contain one. */
  const secrets = new Map<string, string>([
    ['the secret that tokens are signed with', JWT.secret],
    ['the secret that URLs are signed with', HMAC_KEY.secret],
  ]);

  beforeAll(async () => {
    const databaseUrl = async (url: string) => {
      secrets.set('the database’s password', new URL(url).password);
      proxy = await TcpProxy.start(new URL(url).host);
      return proxy.urlOf(url);
    };
    fleet = await Fleet.start({ env: { LOG_LEVEL: 'trace' }, databaseUrl });
    faults = new FaultRules(fleet.emulators.gcs.url);
  });
  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });

  const keep = (what: string, value: string): string => {
    expect(value.length).toBeGreaterThan(7);
    secrets.set(what, value);
    return value;
  };
  const keepSigned = (what: string, url: string) =>
    keep(`the signature of ${what}`, new URL(url).searchParams.get('X-Goog-Signature') ?? '');

  const post = async (body: string, headers: Record<string, string> = {}, route = '/graphql') => {
    const response = await fleet.apis[0]!.fetch(route, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    await response.text();
    return response.status;
  };

  /** Subscribes over a WebSocket. Returns the message types up to the first state of the asset, and the close code. */
  async function hear(payload: Record<string, string>, id: string): Promise<(string | number)[]> {
    const socket = new WebSocket(`ws://127.0.0.1:${fleet.apis[0]!.port}/graphql`, 'graphql-transport-ws');
    const say = (message: object) => socket.send(JSON.stringify(message));
    const heard: (string | number)[] = [];
    socket.on('open', () => say({ type: 'connection_init', payload }));
    socket.on('message', (data: Buffer) => {
      if (socket.readyState !== socket.OPEN) return;
      const { type } = JSON.parse(data.toString()) as { type: string };
      heard.push(type);
      if (type !== 'connection_ack') return socket.close(1000);
      const query = `subscription { assetChanged(id: "${id}") { downloadUrl { url } } }`;
      say({ type: 'subscribe', id: '1', payload: { query } });
    });
    const [code] = (await once(socket, 'close')) as [number];
    return [...heard, code];
  }

  async function sendPiece(session: string, body: Buffer, from: number): Promise<number> {
    const piece = body.subarray(from, from + PIECE);
    const response = await fetch(session, {
      method: 'PUT',
      headers: { 'content-range': `bytes ${from}-${from + piece.length - 1}/${body.length}` },
      body: new Uint8Array(piece),
      redirect: 'manual',
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.arrayBuffer();
    return response.status;
  }

  it('cover uploads, downloads and refusals', async () => {
    const fine = await requestUpload(fleet, 'what the file says');
    keepSigned('a PUT', fine.ticket.url);
    expect(await put(fine.ticket, 'what the file says')).toBe(200);
    keep('the bytes of a file', 'what the file says');
    const wrong = await requestUpload(fleet, 'what was promised');
    const last = wrong.ticket.url.at(-1) === '0' ? '1' : '0';
    const altered = wrong.ticket.url.slice(0, -1) + last;
    expect(await put(wrong.ticket, 'what was promised', { url: altered })).toBe(403);
    expect(await put(wrong.ticket, 'WHAT WAS PROMISED')).toBe(200);
    await expectReady(fleet, [fine.id]);
    expect(await settled(fleet, [wrong.id])).toMatchObject([{ status: 'REJECTED' }]);
    const { asset } = await fleet.query<{ asset: { downloadUrl: { url: string } } }>(
      'query ($id: ID!) { asset(id: $id) { downloadUrl { url } } }',
      { id: fine.id },
    );
    keepSigned('a GET', asset.downloadUrl.url);
    expect((await fetch(asset.downloadUrl.url)).status).toBe(200);
  });

  it('cover resumable sessions, also interrupted ones', async () => {
    const body = Buffer.alloc(2 * PIECE + 7, 'in pieces ');
    const { id, ticket } = await requestUpload(fleet, body, { method: 'RESUMABLE' });
    const session = ticket.url;
    const uploadId = new URL(session).searchParams.get('upload_id') ?? '';
    expect(uploadId).not.toBe('');
    keep('a session’s id', uploadId);
    expect(await sendPiece(session, body, 0)).toBe(308);
    const match = { bucket: NAMES.incomingBucket, keyPrefix: id };
    await faults.add({ match, times: 1, action: { cutAfterBytes: 1000, direction: 'request' } });
    await expect(sendPiece(session, body, PIECE)).rejects.toThrow('fetch failed');
    expect(await sendPiece(session, body, PIECE)).toBe(308);
    expect(await sendPiece(session, body, 2 * PIECE)).toBe(200);
    await expectReady(fleet, [id]);

    // The api logs errors for sessions that cannot be opened, queried or ended.
    const other = await requestUpload(fleet, 'a session in an outage', { method: 'RESUMABLE' });
    keep('another session’s id', new URL(other.ticket.url).searchParams.get('upload_id') ?? 'none');
    const uploads = { bucket: NAMES.incomingBucket };
    await faults.add({ match: uploads, action: { status: 503 } });
    await expect(requestUpload(fleet, 'no session', { method: 'RESUMABLE' })).rejects.toThrow('UNAVAILABLE');
    for (const mutation of ['renewUpload(assetId: $id) { url }', 'cancelUpload(assetId: $id) { status }']) {
      await expect(fleet.query(`mutation ($id: ID!) { ${mutation} }`, { id: other.id })).rejects.toThrow(
        'UNAVAILABLE',
      );
    }
    await faults.clear();
    // A worker reads the sessions that an api recorded.
    const late = await requestUpload(fleet, 'never sent', { method: 'RESUMABLE' });
    const overdue =
      'update media_assets set upload_deadline_at = now(), next_check_at = now() where asset_id = $1';
    await rows(fleet, overdue, [late.id]);
    expect(await settled(fleet, [late.id])).toMatchObject([{ status: 'EXPIRED' }]);
    expect(await sendPiece(late.ticket.url, Buffer.from('never sent'), 0)).toBe(499);
    await fleet.query('mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }', { id: other.id });
  });

  it('cover refused callers and malformed requests', async () => {
    const good = keep('a token', await signJwt('42'));
    const bad = [
      keep('an expired token', await signJwt('42', {}, '-1h')),
      keep('a token with a wrong signature', `${good.slice(0, -6)}AAAAAA`),
      keep('a string that is not a token', 'no-token-but-perhaps-a-password'),
    ];
    const query = JSON.stringify({ query: '{ viewer { id } }' });
    for (const token of bad) expect(await post(query, { authorization: `Bearer ${token}` })).toBe(200);
    expect(await post(query, { authorization: `Basic ${keep('a password', 'dXNlcjpodW50ZXIy')}` })).toBe(200);
    expect(await post(query, {}, `/graphql?access_token=${good}`)).toBe(200);
    expect(await post('{}', {}, `/nowhere?access_token=${good}`)).toBe(404);
    const marked = keep('a part of a body', 'only-in-a-body-42');
    const by = { authorization: `Bearer ${good}` };
    expect(await post(`{"query": "${marked}`, by)).toBe(400);
    expect(await post(JSON.stringify({ query: `{ ${marked.replaceAll('-', '_')}( }` }), by)).toBe(400);
    expect(await post(JSON.stringify({ query: '{ viewer { id } }', variables: { marked } }), by)).toBe(200);
    keep('a part of a query', marked.replaceAll('-', '_'));
    const input = { filename: '../x', mimeType: 'text/plain', sizeBytes: 1, checksumSha256: marked };
    const mutation =
      'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }';
    expect(await post(JSON.stringify({ query: mutation, variables: { input } }), by)).toBe(400);
  });

  const service = async () => {
    const token = await signJwt('mailer', { scope: 'stowage.delegate' });
    return { authorization: `Bearer ${keep('a token of a service', token)}` };
  };
  const onBehalfOf = (name: string) => ({ 'x-stowage-on-behalf-of': name });

  it('cover subscribers, and services that act for others', async () => {
    const { id } = await requestUpload(fleet, 'for subscribers');
    const by = await service();
    const good = { authorization: `Bearer ${keep('a token of a subscriber', await signJwt('42'))}` };
    const over = keep('an expired token of a subscriber', await signJwt('42', {}, '-2h'));
    for (const payload of [good, { ...by, ...onBehalfOf('42') }])
      expect(await hear(payload, id)).toEqual(['connection_ack', 'next', 1000]);
    const refused = [
      { authorization: `Bearer ${over}` },
      { ...good, ...onBehalfOf(keep('the name of another user', 'somebody-elses-name')) },
      { ...by, ...onBehalfOf(`${keep('an invalid name', 'nobodys-name')}\0`) },
    ];
    for (const payload of refused) expect(await hear(payload, id)).toEqual([4401]);

    const query = JSON.stringify({ query: `mutation { cancelUpload(assetId: "${id}") { id } }` });
    for (const headers of [
      { ...by, ...onBehalfOf('42') },
      { ...good, ...onBehalfOf('43') },
    ])
      expect(await post(query, headers)).toBe(200);
    const mistaken = keep('a token in place of a name', await signJwt('44', {}, '3h')).slice(0, 250);
    expect(await post(query, { ...by, ...onBehalfOf(keep('the start of that token', mistaken)) })).toBe(200);
  });

  it('cover outages of storage, database and Pub/Sub', async () => {
    const one = await requestUpload(fleet, 'in trouble');
    const match = { bucket: NAMES.incomingBucket, keyPrefix: one.id };
    await faults.add({ match: { ...match, method: 'PUT' }, times: 1, action: { status: 503 } });
    expect(await put(one.ticket, 'in trouble')).toBe(503);
    for (const action of [
      { status: 503 },
      { cutAfterBytes: 0, direction: 'response' },
      { status: 429 },
    ] as const)
      await faults.add({ match: { ...match, api: 'json' }, times: 4, action });
    expect(await put(one.ticket, 'in trouble')).toBe(200);
    const complete = 'mutation ($id: ID!) { completeUpload(assetId: $id) { status } }';
    await expect(fleet.query(complete, { id: one.id })).rejects.toThrow('UNAVAILABLE');

    await proxy.refuse();
    await expect(requestUpload(fleet, 'no database')).rejects.toThrow('UNAVAILABLE');
    expect((await fleet.apis[0]!.fetch('/health/ready')).status).toBe(503);
    const by = await service();
    expect(await hear({ ...by, ...onBehalfOf('42') }, one.id)).toEqual(['connection_ack', 'next', 1000]);
    expect(await hear({ ...by, ...onBehalfOf('not known yet') }, one.id)).toEqual([1013]);
    await proxy.pass();
    const startPubSub = await fleet.emulators.stopPubSub();
    await until('the worker logs the outage', () =>
      fleet.logs.includes('object event stream error') || fleet.logs.includes('pulling object events failed')
        ? true
        : null,
    );
    await startPubSub();
    await faults.forge(TOPIC, {
      eventType: 'OBJECT_FINALIZE',
      objectId: keep('a forged key', 'signed?X-Goog-Signature=1'),
    });
    const two = await until('the api is back', () => upload(fleet, 'after the trouble').catch(() => null));
    await hurryTasks(fleet);
    await expectReady(fleet, [one.id, two]);
  });

  it('cover members that cannot start', async () => {
    const unusable = {
      JWT_SECRET: keep('a secret that is too short', 'short secret'),
      UPLOAD_SESSION_KEYS: keep('a key that is too short', 'abcdef0123456789'),
      DATABASE_URL: `mysql://stowage:${keep('a password in an invalid URL', 'hunter2hunter2')}@127.0.0.1/x`,
      GCS_HMAC_SECRET: '',
    };
    for (const [name, value] of Object.entries(unusable))
      await expect(fleet.addApi({ [name]: value })).rejects.toThrow(name);
    const wrongPassword = new URL(proxy.urlOf(fleet.database.url));
    wrongPassword.password = keep('a wrong password', 'hunter3hunter3');
    await expect(fleet.addWorker({ DATABASE_URL: wrongPassword.href })).rejects.toThrow('ended');
  });

  it('contain all events and no token, signature, session, password or body', async () => {
    for (const member of [fleet.apis[0]!, fleet.workers[0]!]) expect(await member.end()).toBe(0);
    const { logs } = fleet;
    // An empty log must not pass.
    for (const line of [
      '"request"',
      '"upload requested"',
      '"upload received"',
      '"upload cancelled"',
      '"subscription failed"',
      '"delegate":"mailer"',
      '"object finalized"',
      '"asset ready"',
      '"asset rejected"',
      '"event not handled"',
      '"event became a dead letter"',
      'DATABASE_UNAVAILABLE',
      'STORAGE_UNAVAILABLE',
      '"level":20',
    ])
      expect(logs).toContain(line);
    const lines = logs.split('\n');

    const shapes = [
      /X-Goog-(?!Signature=1)/i,
      /upload_id/i,
      /Bearer /i,
      /secretKey/,
      /authorization/i,
      /eyJ[\w-]{8,}\.eyJ/,
      /postgres(ql)?:\/\/\w/,
    ];
    for (const shape of shapes) expect(lines.filter((line) => shape.test(line))).toEqual([]);
    const read = [...secrets].filter(([, value]) => logs.includes(value)).map(([what]) => what);
    expect(read).toEqual([]);
    expect(secrets.size).toBeGreaterThan(15);
  });
});
