import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { jwtVerify } from 'jose';

const SCRIPTS = path.resolve(import.meta.dirname, '../../../scripts');

interface Result {
  code: number | null;
  stdout: string;
  stderr: string;
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'stowage-commands-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const dataFolder = () => path.join(folder, 'data');

/** Run as `npm run` runs them: in the project's folder, with the user's in INIT_CWD. */
async function command(script: string, ...args: string[]): Promise<Result> {
  const child = spawn(process.execPath, [path.join(SCRIPTS, script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: dataFolder(), INIT_CWD: folder },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  const [stdout, stderr] = await output;
  return { code, stdout, stderr };
}

const secrets = () =>
  JSON.parse(readFileSync(path.join(dataFolder(), 'secrets.json'), 'utf8')) as { jwtSecret: string };

describe('npm run token', () => {
  it('makes the secrets of a new data folder, and signs what was asked for with them', async () => {
    const args = ['--user', '42', '--groups', 'editors,staff', '--admin', '--expires-in', '2h'];
    const { code, stdout, stderr } = await command('token.ts', ...args);
    expect([code, stderr]).toEqual([0, '']);
    expect(statSync(path.join(dataFolder(), 'secrets.json')).mode & 0o777).toBe(0o600);
    const { payload } = await jwtVerify(stdout.trim(), new TextEncoder().encode(secrets().jwtSecret), {
      issuer: 'stowage-local',
      audience: 'stowage-local',
      algorithms: ['HS256'],
    });
    expect(payload).toMatchObject({ sub: '42', groups: ['editors', 'staff'], scope: 'stowage.admin' });
    expect(payload.exp! - payload.iat!).toBe(2 * 3600);
  });

  it.each([
    [[], '--user takes'],
    [['--user', 'x'.repeat(256)], '--user takes'],
    [['--user', '1', '--groups', 'a b'], 'A group has'],
    [['--user', '1', '--expires-in', 'never'], '--expires-in never'],
    [['--usr', '1'], "Unknown option '--usr'"],
  ])('says what is wrong with %j', async (args, sentence) => {
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

describe('npm run upload', () => {
  /** What the server answers to each mutation, query or PUT, the last one from then on. */
  let answers: Record<string, ((body: string) => [status: number, body: unknown])[]>;
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
    const next = answers[operation]!.length > 1 ? answers[operation]!.shift()! : answers[operation]![0]!;
    const [status, reply] = next(body);
    response.writeHead(status).end(typeof reply === 'string' ? reply : JSON.stringify(reply));
  }

  const asset = (status: string, more = {}) => ({
    id: 'a1',
    status,
    statusReason: null,
    downloadUrl: null,
    properties: null,
    variants: [],
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

  const upload = (...args: string[]) => command('upload.ts', '--url', `${url}/graphql`, ...args);

  it('says what it has, sends it, and waits until it is decided', async () => {
    const seen: unknown[] = [];
    answers.requestUpload!.unshift((body) => {
      seen.push((JSON.parse(body) as { variables: { input: unknown } }).variables.input);
      return answers.requestUpload![0]!(body);
    });
    answers.PUT = [(body) => [seen.push(body) && 200, '']];
    const nothing = { durationSeconds: null, pageCount: null, title: null, artist: null, album: null };
    const found = {
      properties: {
        ...nothing,
        ...{
          width: 4,
          height: 3,
          takenAt: '2024-05-17T10:34:56.000Z',
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
    expect(stdout).toMatch(/pixels +4 × 3\n +taken +2024-05-17T10:34:56.000Z, Maker\n +place +52.5, 13.4\n/);
    expect(stdout).toMatch(/variant +small, 2 × 1, 99 bytes\n/);
    expect(stdout).not.toMatch(/duration|pages|title|null/);
    expect(calls).toEqual(['requestUpload', 'PUT', 'asset', 'asset']);
    expect(seen).toEqual([
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

  it('tries again what is not available, with the same key', async () => {
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

  it('takes a 412 for bytes that are there', async () => {
    answers.PUT = [() => [412, '<Error><Code>PreconditionFailed</Code></Error>']];
    expect(await upload('a.png')).toMatchObject({ code: 0 });
    expect(calls).toEqual(['requestUpload', 'PUT', 'completeUpload', 'asset', 'asset']);
  });

  it('sends nothing when nothing needs to be sent', async () => {
    answers.requestUpload = [ok({ requestUpload: { asset: asset('READY'), upload: null } })];
    expect(await upload('a.png')).toMatchObject({ code: 0 });
    expect(calls).toEqual(['requestUpload']);
  });

  it('goes on after a file that fails, and says so in its exit code', async () => {
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

  it('says why an asset was rejected, and never shows a signed URL on its error output', async () => {
    const statusReason = { code: 'MALWARE', message: 'It is infected.' };
    answers.asset = [ok({ asset: asset('REJECTED', { statusReason }) })];
    expect(await upload('a.png')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/a\.png: REJECTED[^]*It is infected\. \(MALWARE\)/),
    });
    answers.PUT = [() => [403, '<Error><Code>SignatureDoesNotMatch</Code><Message>No.</Message></Error>']];
    expect((await upload('a.png')).stderr).toBe('a.png: No. (SignatureDoesNotMatch)\n');
  });

  it('needs a file', async () => {
    expect(await upload()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Usage: npm run upload'),
    });
    expect(existsSync(dataFolder())).toBe(false);
  });
});
