import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { jwtVerify } from 'jose';
import { readSecrets } from '../../../apps/local/src/data-folder.js';
import { runScript } from '../../support/script.js';

const ROOT = path.resolve(import.meta.dirname, '../../..');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'stowage-commands-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const dataFolder = () => path.join(folder, 'data');

const command = (script: string, ...args: string[]) =>
  commandWith({ DATA_DIR: dataFolder() }, script, ...args);

const commandWith = (env: NodeJS.ProcessEnv, script: string, ...args: string[]) =>
  runScript(script, args, { INIT_CWD: folder, ...env });

describe('npm run token', () => {
  it('signs the requested claims with the secret of the data folder', async () => {
    const { jwtSecret } = await readSecrets(dataFolder());
    const args = ['--user', '42', '--groups', 'editors,Domain Users', '--admin', '--expires-in', '2h'];
    const { code, stdout, stderr } = await command('token.ts', ...args);
    expect([code, stderr]).toEqual([0, '']);
    const { payload } = await jwtVerify(stdout.trim(), new TextEncoder().encode(jwtSecret), {
      issuer: 'stowage-local',
      audience: 'stowage-local',
      algorithms: ['HS256'],
    });
    expect(payload).toMatchObject({ sub: '42', groups: ['editors', 'Domain Users'], scope: 'stowage.admin' });
    expect(payload.exp! - payload.iat!).toBe(2 * 3600);
  });

  it.each([
    [[], '--user takes'],
    [['--user', 'x'.repeat(256)], '--user takes'],
    [['--user', '1', '--groups', 'x'.repeat(201)], 'A group has'],
    [['--user', '1', '--expires-in', 'never'], '--expires-in never'],
    [['--usr', '1'], "Unknown option '--usr'"],
  ])('reports what is wrong with %j', async (args, sentence) => {
    await readSecrets(dataFolder());
    const { code, stdout, stderr } = await command('token.ts', ...args);
    expect([code, stdout]).toEqual([1, '']);
    const [first, usage, ...rest] = stderr.trim().split('\n');
    expect([first, usage, rest]).toEqual([
      expect.stringContaining(sentence),
      expect.stringMatching(/^Usage: npm run token/),
      [],
    ]);
  });
});

describe('the stack that a command targets', () => {
  const records = path.join(ROOT, '.local/stacks');
  const written: string[] = [];

  /** Records a stack as `npm start` does, with a process that is running or has ended. */
  function record(port: number, pid: number, where = dataFolder()): void {
    const file = path.join(records, `test-${process.pid}-${written.length}.json`);
    mkdirSync(records, { recursive: true });
    writeFileSync(file, JSON.stringify({ pid, port, dataFolder: where }));
    written.push(file);
  }
  afterEach(() => {
    for (const file of written.splice(0)) rmSync(file, { force: true });
  });

  /** Above the ephemeral ports of the system, so that no stack on this machine uses it. */
  const PORT = 65_530;
  const token = (env: NodeJS.ProcessEnv) => commandWith(env, 'token.ts', '--user', '1');

  it('is the running stack with that PORT, wherever its data folder is', async () => {
    const { jwtSecret } = await readSecrets(dataFolder());
    record(PORT, process.pid);
    const { code, stdout } = await token({ PORT: String(PORT) });
    expect(code).toBe(0);
    await jwtVerify(stdout.trim(), new TextEncoder().encode(jwtSecret));
  });

  it('is the running stack with that DATA_DIR, whatever its port is', async () => {
    await readSecrets(dataFolder());
    record(1, process.pid);
    writeFileSync(path.join(folder, 'a.txt'), 'a');
    const { code, stderr } = await commandWith({ DATA_DIR: dataFolder() }, 'upload.ts', 'a.txt');
    expect([code, stderr]).toEqual([1, expect.stringContaining('http://127.0.0.1:1/graphql')]);
  });

  it('has to be specified when several are running', async () => {
    for (const name of ['a', 'b']) record(PORT, process.pid, path.join(folder, name));
    const { code, stderr } = await token({ PORT: String(PORT) });
    expect([code, stderr]).toEqual([1, expect.stringContaining(`PORT=${PORT}  (${folder}/a)`)]);
  });

  it('is never a killed one, whose record is deleted', async () => {
    const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
    await once(child, 'close');
    record(PORT, child.pid!, path.join(folder, 'gone'));
    await readSecrets(dataFolder());
    expect(await token({ PORT: String(PORT), DATA_DIR: dataFolder() })).toMatchObject({ code: 0 });
    expect(written.map((file) => existsSync(file))).toEqual([false]);
  });

  it('has to have run once, because no command creates secrets', async () => {
    const { code, stdout, stderr } = await token({ DATA_DIR: dataFolder() });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe(`No stack has run in ${dataFolder()} yet; start one with: npm start\n`);
    expect(existsSync(dataFolder())).toBe(false);
  });
});

it.each<[script: string, usage: string, option?: string]>([
  ['token.ts', 'npm run token'],
  ['upload.ts', 'npm run upload'],
  ['task.ts', 'npm run task'],
  ['migrate.ts', 'DATABASE_URL=postgresql://… npm run migrate'],
  ['provision.ts', 'npm run provision'],
  ['corpora.ts', 'npm run corpora'],
  ['fault.ts', 'npm run fault'],
  ['invariants.ts', 'npm run invariants'],
  ['../bench/bench.ts', 'npm run bench'],
  ['../examples/web/serve.ts', 'npm run example'],
  ['start.mjs', 'npm start'],
  ['build.mjs', 'npm run build'],
  ['test.mjs', 'npm test'],
  // The short option, once for each language.
  ['token.ts', 'npm run token', '-h'],
  ['test.mjs', 'npm test', '-h'],
])('prints the usage of %s with --help and does nothing else', async (script, usage, option = '--help') => {
  const { code, stdout, stderr } = await command(script, option);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout.startsWith(`Usage: ${usage}`)).toBe(true);
  expect(stdout.trim().split('\n').length).toBeGreaterThan(2);
  expect(existsSync(dataFolder())).toBe(false);
});

describe('npm run upload', () => {
  /** The answers of the server to each mutation, query or PUT, in order; the last one is repeated. */
  let answers: Record<
    string,
    ((body: string) => [status: number, body: unknown, headers?: Record<string, string>])[]
  >;
  const receivedPuts: [range: string | undefined, bytes: number][] = [];
  let calls: string[];
  const server = createServer((request, response) => void answer(request, response));
  let url: string;
  beforeAll(async () => {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => void server.close());

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const operation =
      request.method === 'PUT'
        ? 'PUT'
        : /\{\s*(\w+)/.exec((JSON.parse(body) as { query: string }).query)![1]!;
    calls.push(operation);
    if (operation === 'PUT') receivedPuts.push([request.headers['content-range'], body.length]);
    const next = answers[operation]!.length > 1 ? answers[operation]!.shift()! : answers[operation]![0]!;
    const [status, reply, headers] = next(body);
    response.writeHead(status, headers).end(typeof reply === 'string' ? reply : JSON.stringify(reply));
  }

  const asset = (status: string, more = {}) => ({
    id: 'a1',
    status,
    statusReason: null,
    downloadUrl: null,
    properties: null,
    variants: [],
    variantsReason: null,
    ...more,
  });
  const ticket = () => ({
    httpMethod: 'PUT',
    url: `${url}/bytes?X-Goog-Signature=secret`,
    headers: [{ name: 'content-type', value: 'image/png' }],
  });
  const ok = (data: unknown) => (): [number, unknown] => [200, { data }];
  const refused =
    (code: string, status = 200) =>
    (): [number, unknown] => [status, { errors: [{ message: 'Refused.', extensions: { code } }] }];

  beforeEach(() => {
    calls = [];
    answers = {
      requestUpload: [ok({ requestUpload: { asset: asset('PENDING'), upload: ticket() } })],
      PUT: [() => [200, '']],
      completeUpload: [ok({ completeUpload: asset('PROCESSING') })],
      asset: [ok({ asset: asset('PROCESSING') }), ok({ asset: asset('READY') })],
    };
    writeFileSync(path.join(folder, 'a.png'), 'four');
  });

  const upload = (...args: string[]) =>
    command('upload.ts', '--url', `${url}/graphql`, '--token', 'one', ...args);

  it('declares a file, sends it and waits for its terminal state', async () => {
    const sentValues: unknown[] = [];
    answers.requestUpload!.unshift((body) => {
      sentValues.push((JSON.parse(body) as { variables: { input: unknown } }).variables.input);
      return answers.requestUpload![0]!(body);
    });
    answers.PUT = [(body) => [sentValues.push(body) && 200, '']];
    const nothing = { durationSeconds: null, pageCount: null, title: null, artist: null, album: null };
    const found = {
      properties: {
        ...nothing,
        ...{
          width: 4,
          height: 3,
          takenAtLocal: '2024-05-17T10:34:56',
          cameraMake: 'Maker',
          cameraModel: null,
        },
        location: { latitude: 52.5, longitude: 13.4 },
      },
      variants: [{ name: 'small', width: 2, height: 1, sizeBytes: 99 }],
    };
    answers.asset!.push(ok({ asset: asset('READY', found) }));
    answers.asset!.splice(1, 1);
    const { code, stdout, stderr } = await upload('a.png');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('a.png: READY');
    expect(stdout).toMatch(/pixels +4 × 3\n +taken +2024-05-17T10:34:56, Maker\n +place +52.5, 13.4\n/);
    expect(stdout).toMatch(/variant +small, 2 × 1, 99 bytes\n/);
    expect(stdout).not.toMatch(/duration|pages|title|null/);
    expect(calls).toEqual(['requestUpload', 'PUT', 'asset', 'asset']);
    expect(sentValues).toEqual([
      {
        filename: 'a.png',
        mimeType: 'image/png',
        sizeBytes: 4,
        checksumSha256: '04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00',
        idempotencyKey: expect.any(String),
      },
      'four',
    ]);
  });

  it('retries unavailable requests with one idempotency key', async () => {
    const keys = new Set<unknown>();
    const keyed = (next: () => [number, unknown]) => (body: string) => {
      keys.add(
        (JSON.parse(body) as { variables: { input: { idempotencyKey: string } } }).variables.input
          .idempotencyKey,
      );
      return next();
    };
    const [request] = answers.requestUpload!;
    answers.requestUpload = [
      keyed(refused('UNAVAILABLE')),
      keyed(() => [503, 'busy']),
      keyed(request as () => [number, unknown]),
    ];
    answers.PUT = [() => [503, 'busy'], () => [200, '']];
    expect(await upload('a.png')).toMatchObject({ code: 0 });
    expect(calls).toEqual([
      'requestUpload',
      'requestUpload',
      'requestUpload',
      'PUT',
      'PUT',
      'asset',
      'asset',
    ]);
    expect(keys.size).toBe(1);
  });

  it('treats a 412 as bytes that are already stored', async () => {
    answers.PUT = [() => [412, '<Error><Code>PreconditionFailed</Code></Error>']];
    expect(await upload('a.png')).toMatchObject({ code: 0 });
    expect(calls).toEqual(['requestUpload', 'PUT', 'completeUpload', 'asset', 'asset']);
  });

  it('sends no bytes when the asset is READY at once', async () => {
    answers.requestUpload = [ok({ requestUpload: { asset: asset('READY'), upload: null } })];
    expect(await upload('a.png')).toMatchObject({ code: 0 });
    expect(calls).toEqual(['requestUpload']);
  });

  it('continues after a failed file and reports it in its exit code', async () => {
    answers.requestUpload!.unshift(refused('QUOTA_EXCEEDED'));
    const { code, stdout, stderr } = await upload('nothing.png', 'a.png', 'a.png', '--json');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^nothing\.png: ENOENT.*\na\.png: Refused\. \(QUOTA_EXCEEDED\)\n$/);
    expect(JSON.parse(stdout)).toEqual([
      { file: 'nothing.png', error: expect.stringContaining('ENOENT') },
      { file: 'a.png', error: 'Refused. (QUOTA_EXCEEDED)' },
      expect.objectContaining({ file: 'a.png', status: 'READY' }),
    ]);
  });

  it('prints why an asset was rejected and never prints a signed URL to stderr', async () => {
    const statusReason = { code: 'MALWARE', message: 'It is infected.' };
    answers.asset = [ok({ asset: asset('REJECTED', { statusReason }) })];
    expect(await upload('a.png')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/a\.png: REJECTED[^]*It is infected\. \(MALWARE\)/),
    });
    answers.PUT = [() => [403, '<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>']];
    expect((await upload('a.png')).stderr).toBe('a.png: No. (SignatureDoesNotMatch)\n');
  });

  describe('a large file', () => {
    const CHUNK = 8 * 2 ** 20;
    const SIZE = CHUNK + 1000;
    let session: string;
    /** The Content-Range and the number of bytes of each PUT. */
    let sent: [range: string | undefined, bytes: number][];
    const kept = (bytes: number) => (): [number, string, Record<string, string>] => [
      308,
      '',
      bytes === 0 ? {} : { range: `bytes=0-${bytes - 1}` },
    ];
    beforeEach(() => {
      session = `${url}/session?upload_id=secret`;
      sent = receivedPuts;
      sent.length = 0;
      const renewed = { ...ticket(), protocol: 'GCS_RESUMABLE', url: session, headers: [] };
      answers.requestUpload = [ok({ requestUpload: { asset: asset('PENDING'), upload: renewed } })];
      answers.renewUpload = [ok({ renewUpload: renewed })];
      writeFileSync(path.join(folder, 'large.bin'), Buffer.alloc(SIZE, 'x'));
    });
    const FIRST = [`bytes 0-${CHUNK - 1}/${SIZE}`, CHUNK];
    const LAST = [`bytes ${CHUNK}-${SIZE - 1}/${SIZE}`, 1000];
    const STATUS_QUERY = [`bytes */${SIZE}`, 0];

    it('is sent in chunks through a session', async () => {
      const methods: unknown[] = [];
      const [request] = answers.requestUpload!;
      answers.requestUpload = [
        (body) => {
          methods.push(
            (JSON.parse(body) as { variables: { input: { method?: string } } }).variables.input.method,
          );
          return request!(body);
        },
      ];
      answers.PUT = [kept(CHUNK), () => [200, '{}']];
      expect(await upload('large.bin')).toMatchObject({ code: 0, stderr: '' });
      expect([methods, sent]).toEqual([['RESUMABLE'], [FIRST, LAST]]);
    });

    it('resumes at the offset of storage after an interruption or a partial chunk', async () => {
      const part = 256 * 1024;
      answers.PUT = [kept(part), () => [503, 'busy'], kept(part), kept(CHUNK), () => [201, '']];
      expect(await upload('large.bin')).toMatchObject({ code: 0 });
      const fromPart = [`bytes ${part}-${SIZE - 1}/${SIZE}`, SIZE - part];
      expect(sent).toEqual([FIRST, fromPart, STATUS_QUERY, fromPart, LAST]);
    });

    it.each([404, 410, 499])('gets another session when storage answers %i', async (status) => {
      answers.PUT = [kept(CHUNK), () => [status, ''], kept(0), kept(CHUNK), () => [200, '']];
      expect(await upload('large.bin')).toMatchObject({ code: 0 });
      expect(sent).toEqual([FIRST, LAST, STATUS_QUERY, FIRST, LAST]);
      expect(calls.filter((call) => call === 'renewUpload')).toHaveLength(1);
    });

    it('treats a 412 as bytes that are already stored', async () => {
      answers.PUT = [() => [412, '']];
      expect(await upload('large.bin')).toMatchObject({ code: 0 });
      expect(calls).toContain('completeUpload');
    });

    it('fails when storage keeps no bytes and never prints the session', async () => {
      answers.PUT = [kept(0)];
      const { code, stderr } = await upload('large.bin');
      expect([code, stderr]).toEqual([1, 'large.bin: Storage keeps none of the sent bytes (HTTP 308)\n']);
      expect(sent.length).toBeLessThan(10);
      answers.PUT = [() => [403, 'denied: upload_id=secret']];
      expect((await upload('large.bin')).stderr).toBe(
        'large.bin: Storage answered with HTTP 403 (HTTP 403)\n',
      );
    });
  });

  it('requires a file', async () => {
    expect(await upload()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Usage: npm run upload'),
    });
    expect(existsSync(dataFolder())).toBe(false);
  });
});
