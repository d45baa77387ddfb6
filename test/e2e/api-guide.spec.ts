import { execFile } from 'node:child_process';
import { access, constants, mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Stack } from './stack.js';
import { LIMIT_MS, until } from '../../libs/testing/src/until.js';
import { guideBlocks } from '../support/api-guide.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** The only JavaScript block of the guide that exports this function. */
function moduleWith(name: string): string {
  const found = guideBlocks('js').filter((code) => new RegExp(`^export .*\\b${name}\\b`, 'm').test(code));
  expect(found).toHaveLength(1);
  return found[0]!;
}

async function isInstalled(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const found = folders.map((folder) => access(path.join(folder, program), constants.X_OK));
  return (await Promise.allSettled(found)).some(({ status }) => status === 'fulfilled');
}

const missing: string[] = [];
for (const program of ['bash', 'curl', 'sha256sum']) {
  if (!(await isInstalled(program))) missing.push(program);
}
const isSkipped = missing.length > 0 && process.env.CI !== 'true';
if (isSkipped) process.stdout.write(`skipped: the commands of docs/api.md (install ${missing.join(', ')})\n`);

describe('docs/api.md examples (real: the whole stack; the code runs unchanged)', () => {
  let stack: Stack;
  let token: string;
  /** Folder of the guide's modules, which find the packages that they import. */
  let modulesFolder: string;
  beforeAll(async () => {
    stack = await Stack.make();
    modulesFolder = path.join(stack.folder, 'guide');
    await mkdir(modulesFolder);
    await symlink(path.join(ROOT, 'node_modules'), path.join(modulesFolder, 'node_modules'));
    await stack.start();
    token = await stack.token('1');
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  /** Returns the assets with this filename once all of them have a final status. */
  const finalAssets = (name: string) =>
    until('the asset has a final status', async () => {
      const { data } = await stack.query<{ assets: { nodes: { filename: string; status: string }[] } }>(
        token,
        '{ assets(first: 100) { nodes { filename status sizeBytes } } }',
      );
      const found = data!.assets.nodes.filter(({ filename }) => filename === name);
      const isOver = found.length > 0 && found.every(({ status }) => !/^P(END|ROCESS)ING$/.test(status));
      return isOver ? found : null;
    });

  (isSkipped ? it.skip : it)(
    'has shell commands that upload a file, upload one in chunks and download it',
    async () => {
      const script = guideBlocks('sh').join('\n').replaceAll('http://127.0.0.1:3000/graphql', stack.url);
      expect(script).toContain(stack.url);
      const { stdout } = await run('bash', ['-eu', '-o', 'pipefail', '-c', script], {
        cwd: ROOT,
        env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: stack.folder, TMPDIR: stack.folder },
        timeout: LIMIT_MS,
      });
      expect(stdout).toContain('"viewer":{"id":"1"');
      expect(stdout).toContain('PUT: 200\n');
      expect(stdout).toMatch(/"completeUpload":\{"status":"(PENDING|PROCESSING|READY)"\}/);
      expect(stdout).toMatch(/^HTTP\/1\.1 308 /m);
      expect(stdout).toMatch(/^range: bytes=0-262143\r$/im);
      expect(stdout).toContain('rest: 200\n');
      expect(stdout.endsWith('Hello, Stowage.\n')).toBe(true);
      expect(await finalAssets('large.bin')).toEqual([
        { filename: 'large.bin', status: 'READY', sizeBytes: 700_000 },
      ]);
    },
  );

  /** Runs a program beside modules of the guide, with the URL of the API and a token, and returns the JSON that it prints. */
  async function runWith(modules: Record<string, string>, program: string): Promise<unknown> {
    for (const [file, code] of Object.entries({ ...modules, 'program.mjs': program })) {
      await writeFile(path.join(modulesFolder, file), code);
    }
    const file = path.join(modulesFolder, 'program.mjs');
    const { stdout } = await run(process.execPath, [file, stack.url, token], {
      env: { ...process.env, NODE_OPTIONS: '' },
      timeout: LIMIT_MS,
    });
    return JSON.parse(stdout) as unknown;
  }

  it('has a web function that uploads a file once, however often it is called', async () => {
    const program = `import { upload } from './upload.mjs';
      const file = new File(['Hello, Web.\\n'], 'web.txt', { type: 'text/plain' });
      const [api, token] = process.argv.slice(2);
      const idempotencyKey = crypto.randomUUID();
      const ids = [];
      for (let times = 0; times < 2; times++) ids.push(await upload(file, { api, token, idempotencyKey }));
      console.log(JSON.stringify(ids));`;
    const ids = (await runWith({ 'upload.mjs': moduleWith('upload') }, program)) as string[];
    expect(ids[0]).toBe(ids[1]);
    expect(await finalAssets('web.txt')).toEqual([{ filename: 'web.txt', status: 'READY', sizeBytes: 12 }]);
  });

  it('has a web function that resumes a file in an upload session', async () => {
    const program = `import { createHash } from 'node:crypto';
      import { sendToSession } from './session.mjs';
      const [api, token] = process.argv.slice(2);
      const bytes = Buffer.alloc(600_000, 'chunk by chunk ');
      const file = new File([bytes], 'session.bin');
      const ask = async (query, variables) => (await (await fetch(api, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token },
        body: JSON.stringify({ query, variables }),
      })).json()).data;
      const input = { filename: file.name, mimeType: 'application/octet-stream', sizeBytes: file.size,
        checksumSha256: createHash('sha256').update(bytes).digest('hex'), method: 'RESUMABLE' };
      const { requestUpload: { asset, upload } } = await ask(
        'mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } upload { url protocol } } }', { input });
      // The first chunk of an interrupted attempt.
      await fetch(upload.url, { method: 'PUT', headers: { 'content-range': 'bytes 0-262143/600000' }, body: bytes.subarray(0, 262144) });
      const { renewUpload: again } = await ask('mutation ($id: ID!) { renewUpload(assetId: $id) { url } }', asset);
      // Storage ignores the bytes that it has when a client begins at an earlier offset.
      const repeated = await fetch(upload.url, { method: 'PUT', headers: { 'content-range': 'bytes 0-524287/600000' }, body: bytes.subarray(0, 524288) });
      const kept = repeated.headers.get('range');
      const sent = await sendToSession(file, again, { chunkBytes: 256 * 1024 });
      console.log(JSON.stringify({ sent, kept, protocol: upload.protocol, isSame: again.url === upload.url }));`;
    expect(await runWith({ 'session.mjs': moduleWith('sendToSession') }, program)).toEqual({
      sent: true,
      kept: 'bytes=0-524287',
      protocol: 'GCS_RESUMABLE',
      isSame: true,
    });
    expect(await finalAssets('session.bin')).toEqual([
      { filename: 'session.bin', status: 'READY', sizeBytes: 600_000 },
    ]);
  });

  it('has a web function that gives up when storage keeps no byte of a chunk', async () => {
    const program = `import { createServer } from 'node:http';
      import { sendToSession } from './session.mjs';
      const ranges = [];
      const server = createServer((request, response) => {
        ranges.push(request.headers['content-range']);
        request.resume().on('end', () => response.writeHead(308).end());
      }).listen(0, '127.0.0.1', async () => {
        const ticket = { url: 'http://127.0.0.1:' + server.address().port };
        const error = await sendToSession(new File(['bytes'], 'a.bin'), ticket).catch(({ message }) => message);
        console.log(JSON.stringify({ error, ranges }));
        process.exit();
      });`;
    expect(await runWith({ 'session.mjs': moduleWith('sendToSession') }, program)).toEqual({
      error: 'Storage kept no byte of a chunk',
      ranges: ['bytes */5', 'bytes 0-4/5'],
    });
  });

  it('has a web function that waits through failures, and asks for a check of a late upload', async () => {
    // Each answer is thrown, or is the status of the asset; one minute passes between them.
    const program = `import { settled } from './settled.mjs';
      const socket = { subscribe: () => () => undefined };
      const coded = (code) => Object.assign(new Error(code), { code });
      let now = 0;
      Date.now = () => now;
      async function waitFor(...answers) {
        const asked = [];
        const ask = async (text) => {
          now += 60_000;
          asked.push(text.includes('completeUpload') ? 'complete' : 'poll');
          const answer = answers.shift();
          if (answer instanceof Error) throw answer;
          return { asset: { status: answer } };
        };
        const outcome = await settled('id', { ask, socket }).then((asset) => asset?.status ?? null, ({ code }) => code);
        return [outcome, ...asked];
      }
      const timeout = new DOMException('timeout', 'TimeoutError');
      console.log(JSON.stringify([
        await waitFor(new TypeError('fetch failed'), timeout, coded('UNAVAILABLE'), coded('RATE_LIMITED'), 'READY'),
        await waitFor('PENDING', 'PROCESSING', 'READY'),
        await waitFor('PENDING', coded('NOT_FOUND')),
        await waitFor(coded('UNAUTHENTICATED')),
      ]));
      process.exit();`;
    expect(await runWith({ 'settled.mjs': moduleWith('settled') }, program)).toEqual([
      ['READY', 'poll', 'poll', 'poll', 'poll', 'poll'],
      ['READY', 'poll', 'complete', 'poll'],
      [null, 'poll', 'complete'],
      ['UNAUTHENTICATED', 'poll'],
    ]);
  });

  it('has web functions that wait for the final status of an asset', async () => {
    const program = `import { upload } from './upload.mjs';
      import { openSocket, settled } from './settled.mjs';
      const [api, token] = process.argv.slice(2);
      const ask = async (query, variables) => (await (await fetch(api, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer ' + token },
        body: JSON.stringify({ query, variables }),
      })).json()).data;
      const file = new File(['<!doctype html><title>no text</title>'], 'fake.txt', { type: 'image/png' });
      const id = await upload(file, { api, token });
      const askInVain = async () => ({ asset: { id, status: 'PROCESSING' } });
      const live = await settled(id, { ask: askInVain, socket: openSocket(api, () => token) });
      const polled = await settled(id, { ask, socket: openSocket(api, () => 'no token') });
      console.log(JSON.stringify([live, polled].map((asset) => [asset.status, asset.statusReason.code])));
      process.exit();`;
    const modules = { 'upload.mjs': moduleWith('upload'), 'settled.mjs': moduleWith('settled') };
    expect(await runWith(modules, program)).toEqual(Array(2).fill(['REJECTED', 'TYPE_MISMATCH']));
  });

  it('has web functions that page through a gallery and choose a variant', async () => {
    const program = `import { pictures, variantFor } from './pictures.mjs';
      const [api, token] = process.argv.slice(2);
      const found = await Array.fromAsync(pictures({ api, token, takenAfter: '2020-01-01T00:00:00' }));
      const variants = [{ width: 320 }, { width: 1280 }];
      const chosen = [100, 320, 321, 5000].map((pixels) => variantFor(variants, pixels).width);
      console.log(JSON.stringify({ found: found.length, chosen, none: variantFor([], 1) ?? null }));`;
    expect(await runWith({ 'pictures.mjs': moduleWith('pictures') }, program)).toEqual({
      found: 0,
      chosen: [320, 320, 1280, 1280],
      none: null,
    });
  });
});
