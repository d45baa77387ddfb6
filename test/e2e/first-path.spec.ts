import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { document, photo, tone } from './samples.js';
import { until } from '../../libs/testing/src/until.js';
import { headersOf, put, Stack, type Ticket } from './stack.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const run = promisify(execFile);
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

const REQUEST = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { id status } upload { httpMethod url headers { name value } } }
}`;
const ASSET = `query ($id: ID!) {
  asset(id: $id) { id status mimeType sizeBytes checksumSha256 statusReason { code } downloadUrl { url } }
}`;

interface AssetAnswer {
  readonly id: string;
  readonly status: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly statusReason: { readonly code: string } | null;
  readonly downloadUrl: { readonly url: string } | null;
}

describe('end-to-end upload and download (real: the whole stack, through its public interfaces)', () => {
  let stack: Stack;
  let token: string;
  const ids: string[] = [];
  const files: Record<string, { bytes: Buffer; type: string }> = {
    'photo.png': { bytes: photo(), type: 'image/png' },
    'tone.wav': { bytes: tone(), type: 'audio/wav' },
    'document.pdf': { bytes: document(), type: 'application/pdf' },
    'notes.txt': { bytes: Buffer.from('Grüße aus dem Lager\n'), type: 'text/plain' },
  };

  beforeAll(async () => {
    stack = await Stack.make({ UPLOAD_URL_SECONDS: '900' });
    await stack.start();
    token = await stack.token('1');
  });
  afterAll(() => stack[Symbol.asyncDispose]());

  const requestUpload = async (bytes: Buffer | string, mimeType = 'text/plain', by = token) => {
    const input = {
      filename: 'file',
      mimeType,
      sizeBytes: Buffer.byteLength(bytes),
      checksumSha256: sha256(bytes),
    };
    const { data, errors } = await stack.query<{ requestUpload: { asset: { id: string }; upload: Ticket } }>(
      by,
      REQUEST,
      {
        input,
      },
    );
    if (data === undefined || data === null) throw new Error(JSON.stringify(errors));
    return { id: data.requestUpload.asset.id, ticket: data.requestUpload.upload };
  };
  const asset = async (id: string, by = token) => {
    const { data } = await stack.query<{ asset: AssetAnswer | null }>(by, ASSET, { id });
    return data?.asset ?? null;
  };
  const finalAsset = (id: string) =>
    until('the asset has a final status', async () => {
      const found = await asset(id);
      return found !== null && !['PENDING', 'PROCESSING'].includes(found.status) ? found : null;
    });
  const download = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());

  it('uploads a photo, an audio file, a PDF and a text with the client script, and serves them', async () => {
    const paths = await Promise.all(
      Object.entries(files).map(async ([name, { bytes }]) => {
        const file = path.join(stack.folder, name);
        await writeFile(file, bytes);
        return file;
      }),
    );
    const { stdout } = await run(
      process.execPath,
      [path.join(ROOT, 'scripts/upload.ts'), ...paths, '--json', '--token', token, '--url', stack.url],
      { env: { ...process.env, NODE_OPTIONS: '' } },
    );
    const uploaded = JSON.parse(stdout) as (AssetAnswer & { file: string })[];
    expect(uploaded).toHaveLength(4);
    for (const [index, { bytes, type }] of Object.values(files).entries()) {
      const found = uploaded[index]!;
      expect(found).toMatchObject({ status: 'READY', mimeType: type, sizeBytes: bytes.length });
      expect((await download(found.downloadUrl!.url)).equals(bytes)).toBe(true);
      ids.push(found.id);
    }
  });

  it('makes the client script exit with 1 when a file is not READY', async () => {
    const file = path.join(stack.folder, 'fake.png');
    await writeFile(file, '<!doctype html><title>no picture</title>');
    const failed = await run(
      process.execPath,
      [path.join(ROOT, 'scripts/upload.ts'), file, '--json', '--token', token, '--url', stack.url],
      { env: { ...process.env, NODE_OPTIONS: '' } },
    ).catch((error: unknown) => error as { code: number; stdout: string });
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).toContain('TYPE_MISMATCH');
  });

  it('refuses requests at storage that differ from the signed one', async () => {
    const { id, ticket } = await requestUpload('hello');
    const headers = headersOf(ticket);
    const without = (name: string) =>
      Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
    const last = ticket.url.at(-1) === '0' ? '1' : '0';
    expect(await put(ticket, 'hello!')).toBe(400);
    expect(await put(ticket, 'hell')).toBe(400);
    expect(await put(ticket, 'hello', { headers: { ...headers, 'content-type': 'text/html' } })).toBe(403);
    expect(await put(ticket, 'hello', { headers: without('x-goog-content-length-range') })).toBe(400);
    expect(await put(ticket, 'hello', { headers: without('x-goog-if-generation-match') })).toBe(400);
    expect(await put(ticket, 'hello', { url: ticket.url.slice(0, -1) + last })).toBe(403);
    expect(await asset(id)).toMatchObject({ status: 'PENDING', downloadUrl: null });
    const both = await Promise.all([put(ticket, 'hello'), put(ticket, 'hello')]);
    expect(both.sort()).toEqual([200, 412]);
    expect(await finalAsset(id)).toMatchObject({ status: 'READY' });
  });

  it('rejects other bytes of the same length and never serves them', async () => {
    const { id, ticket } = await requestUpload('hello, right');
    expect(await put(ticket, 'hello, wrong')).toBe(200);
    expect(await finalAsset(id)).toMatchObject({
      status: 'REJECTED',
      statusReason: { code: 'CHECKSUM_MISMATCH' },
      downloadUrl: null,
    });
  });

  it('rejects requests without a valid token, and hides assets from other users', async () => {
    const bad: [string | null, string][] = [
      [null, 'TOKEN_MISSING'],
      ['garbage', 'TOKEN_INVALID'],
      [await stack.token('1', {}, '1h', 'another secret that is long enough to be one'), 'TOKEN_INVALID'],
      [await stack.token('1', {}, '-1h'), 'TOKEN_EXPIRED'],
      [`${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`, 'TOKEN_INVALID'],
    ];
    for (const [wrong, reason] of bad) {
      const { errors } = await stack.query(wrong, '{ viewer { id } }');
      expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED', reason } }]);
    }
    expect(await asset(ids[0]!, await stack.token('2'))).toBeNull();
    expect(await asset(ids[0]!, await stack.token('2', { scope: 'stowage.admin' }))).not.toBeNull();
  });

  it('lists the caller’s own assets page by page, in both directions', async () => {
    const page = async (args: string) => {
      const query = `{ assets(${args}) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`;
      const { data, errors } = await stack.query<{
        assets: { nodes: { id: string }[]; pageInfo: Record<string, never> };
      }>(token, query);
      if (errors !== undefined) throw new Error(errors[0]!.extensions.reason);
      return data!.assets;
    };
    const all = (await page('first: 100')).nodes.map(({ id }) => id);
    const forwards: string[] = [];
    for (let after = ''; ;) {
      const { nodes, pageInfo } = await page(`first: 2${after}`);
      forwards.push(...nodes.map(({ id }) => id));
      if (!pageInfo.hasNextPage) break;
      after = `, after: "${String(pageInfo.endCursor)}"`;
    }
    expect(forwards).toEqual(all);
    const ascending = (await page('first: 100, orderBy: CREATED_ASC')).nodes.map(({ id }) => id);
    expect(ascending).toEqual([...all].reverse());
    const tail = await page('last: 2');
    expect(tail.nodes.map(({ id }) => id)).toEqual(all.slice(-2));
    expect(tail.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: false });
    await expect(page('first: 1, last: 1')).rejects.toThrow('PAGE_INVALID');
    await expect(page('first: 101')).rejects.toThrow('PAGE_INVALID');
    await expect(page('first: 1, after: "x"')).rejects.toThrow('CURSOR_INVALID');
    expect((await page('scope: PUBLIC')).nodes).toEqual([]);
    expect(
      (await stack.query<{ assets: { nodes: [] } }>(await stack.token('3'), '{ assets { nodes { id } } }'))
        .data!.assets.nodes,
    ).toEqual([]);
  });

  it('serves downloads with a type, name and disposition that the reader cannot change', async () => {
    const query = `query ($id: ID!) {
      asset(id: $id) { inline: downloadUrl(disposition: INLINE) { url } saved: downloadUrl(expiresInSeconds: 60) { url } }
    }`;
    const { data } = await stack.query<{ asset: Record<'inline' | 'saved', { url: string }> }>(token, query, {
      id: ids[0],
    });
    const inline = await fetch(data!.asset.inline.url);
    expect(inline.headers.get('content-disposition')).toMatch(/^inline;filename="photo.png"/);
    expect(inline.headers.get('content-type')).toBe('image/png');
    const saved = await fetch(data!.asset.saved.url);
    expect(saved.headers.get('content-disposition')).toMatch(/^attachment;filename="photo.png"/);
    const changed = await fetch(data!.asset.saved.url.replace('attachment', 'inline'));
    expect(changed.status).toBe(403);
    await Promise.all([inline, saved, changed].map((response) => response.arrayBuffer()));
    const { errors } = await stack.query(
      token,
      '{ assets { nodes { downloadUrl(expiresInSeconds: 3601) { url } } } }',
    );
    expect(errors?.[0]).toMatchObject({
      extensions: { code: 'BAD_USER_INPUT', reason: 'EXPIRY_OUT_OF_RANGE' },
    });
  });

  it('hides internal errors and reports errors that the caller can fix', async () => {
    const input = { filename: '../x', mimeType: 'text/plain', sizeBytes: 1, checksumSha256: sha256('x') };
    const { errors } = await stack.query(token, REQUEST, { input });
    expect(errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason: 'FILENAME_INVALID', path: ['input', 'filename'] } },
    ]);
    const wrongNumber = await stack.query(token, REQUEST, { input: { ...input, sizeBytes: -1 } });
    expect(wrongNumber.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
  });

  it('processes a 1 GiB object with less than 256 MiB of resident memory', async () => {
    const block = Buffer.alloc(2 ** 20, 'Stowage ');
    const [blocks, hash] = [1024, createHash('sha256')];
    for (let index = 0; index < blocks; index++) hash.update(block);
    const input = {
      filename: 'big.bin',
      mimeType: 'application/octet-stream',
      sizeBytes: blocks * block.length,
      checksumSha256: hash.digest('hex'),
    };
    const { data } = await stack.query<{ requestUpload: { asset: { id: string }; upload: Ticket } }>(
      token,
      REQUEST,
      { input },
    );
    const { asset: big, upload } = data!.requestUpload;
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { ...headersOf(upload), 'content-length': input.sizeBytes };
      const request = http.request(upload.url, { method: upload.httpMethod, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on('error', reject);
      let left = blocks;
      const send = () => {
        while (left-- > 0) {
          if (!request.write(block)) {
            request.once('drain', send);
            return;
          }
        }
        request.end();
      };
      send();
    });
    expect(status).toBe(200);
    expect(await finalAsset(big.id)).toMatchObject({ status: 'READY' });
    expect(stack.peakMemory('worker')).toBeLessThan(256 * 2 ** 20);
  });

  it('keeps all data across a restart', async () => {
    expect(await stack.stop()).toBe(0);
    await stack.start();
    const found = await asset(ids[0]!);
    expect(found).toMatchObject({ status: 'READY' });
    expect((await download(found!.downloadUrl!.url)).equals(files['photo.png']!.bytes)).toBe(true);
  });

  it('finishes pending uploads after all processes were killed', async () => {
    const { id, ticket } = await requestUpload('survivor');
    await stack.killAll();
    await stack.start();
    expect(await put(ticket, 'survivor')).toBe(200);
    expect(await finalAsset(id)).toMatchObject({ status: 'READY' });
    expect(await asset(ids[0]!)).toMatchObject({ status: 'READY' });
  });

  it('logs one request id from the request to the job, and never logs a token, a signature or a secret', async () => {
    const response = await fetch(stack.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        'x-request-id': 'followed-1',
      },
      body: JSON.stringify({
        query: REQUEST,
        variables: {
          input: { filename: 'f', mimeType: 'text/plain', sizeBytes: 8, checksumSha256: sha256('followed') },
        },
      }),
    });
    const { data } = (await response.json()) as {
      data: { requestUpload: { asset: { id: string }; upload: Ticket } };
    };
    await put(data.requestUpload.upload, 'followed');
    await finalAsset(data.requestUpload.asset.id);
    // The worker logs after the commit, and the log lines reach the file a little later.
    const lines = await until('each step is in the logs', async () => {
      const logged = (await stack.logs()).split('\n');
      const followed = logged.filter((line) => line.includes('"reqId":"followed-1"'));
      const steps = ['upload requested', 'upload received', 'asset ready'];
      return steps.every((step) => followed.some((line) => line.includes(step))) ? logged : null;
    });
    const secrets = [token, 'X-Goog-Signature', 'X-Goog-Credential', 'Bearer '];
    for (const secret of secrets) expect(lines.filter((line) => line.includes(secret))).toEqual([]);
  });
});
