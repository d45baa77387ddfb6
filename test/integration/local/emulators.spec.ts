import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Storage } from '@google-cloud/storage';
import { GcsUrlSigner, provision } from '#libs/storage/gcs';
import { freePort } from '../../support/postgres.js';
import { HMAC_KEY, NAMES, PROJECT } from '../../../libs/testing/src/emulators.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';

const ENTRY = path.resolve(import.meta.dirname, '../../../dist/apps/local/src/emulators.js');

/** Real: the emulators, as the process that a container starts. */
describe('the standalone emulators', () => {
  let folder: string;
  let ports: { gcs: number; pubSub: number };
  let pid: number;
  let stop: () => Promise<number | null>;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-emulators-'));
    ports = { gcs: await freePort(), pubSub: await freePort() };
  });
  afterEach(async () => {
    expect(await stop()).toBe(0);
    await rm(folder, { recursive: true });
  });

  async function start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const child = spawn(process.execPath, [ENTRY], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: {
        GOOGLE_CLOUD_PROJECT: PROJECT,
        DATA_DIR: folder,
        GCS_API_ENDPOINT: `http://storage:${ports.gcs}`,
        PUBSUB_EMULATOR_HOST: `127.0.0.1:${ports.pubSub}`,
        PUBSUB_PORT: String(ports.pubSub),
        GCS_HMAC_ACCESS_ID: HMAC_KEY.accessId,
        GCS_HMAC_SECRET: HMAC_KEY.secret,
        LOG_LEVEL: 'error',
        ...env,
      },
    });
    pid = child.pid!;
    stop = async () => {
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      return ((await exit) as [number | null])[0];
    };
    await once(child, 'message');
  }
  const ask = (host: string, route = '/storage/v1/b?project=x') =>
    fetch(`http://${host}:${ports.gcs}${route}`, { signal: AbortSignal.timeout(LIMIT_MS) });
  const buckets = async (): Promise<string[]> => {
    const { items = [] } = (await (await ask('127.0.0.1')).json()) as { items?: { name: string }[] };
    return items.map(({ name }) => name).sort();
  };

  it('run at a lower priority than the worker once they serve', async () => {
    await start();
    await until('a lower priority', () => os.getPriority(pid) === 5 || null);
  });

  it('listen on loopback by default', async () => {
    await start();
    expect((await ask('127.0.0.1')).status).toBe(200);
    // Another loopback address, which answers only if the server listens on all addresses.
    await expect(ask('127.0.0.2')).rejects.toThrow();
  });

  it('listen on the configured host under the allowed names, without the API for faults', async () => {
    await start({ HOST: '0.0.0.0', EMULATOR_ALLOWED_HOSTS: `storage:1, 127.0.0.2:${ports.gcs}` });
    expect((await ask('127.0.0.3')).status).toBe(403);
    expect((await ask('127.0.0.2')).status).toBe(200);
    for (const host of ['127.0.0.1', '127.0.0.2', 'localhost']) {
      expect((await ask(host, '/_emulator/faults')).status).toBe(403);
    }
  });

  it('create no resources, which is left to npm run provision', async () => {
    await start();
    expect(await buckets()).toEqual([]);
    await provision({
      projectId: PROJECT,
      storage: { endpoint: `http://127.0.0.1:${ports.gcs}` },
      pubsub: { emulator: `127.0.0.1:${ports.pubSub}` },
      names: NAMES,
    });
    expect(await buckets()).toEqual(['content', 'incoming', 'quarantine']);
  });

  it('accept URLs that were signed for the host name that clients use', async () => {
    await start({ HOST: '0.0.0.0', EMULATOR_ALLOWED_HOSTS: `127.0.0.2:${ports.gcs}` });
    const storage = new Storage({ projectId: PROJECT, apiEndpoint: `http://127.0.0.2:${ports.gcs}` });
    await storage.createBucket('incoming');
    const signer = new GcsUrlSigner({ endpoint: `http://localhost:${ports.gcs}`, key: HMAC_KEY });
    const grant = { bucket: 'incoming', key: 'k', contentType: 'text/plain', sizeBytes: 2 };
    const { url, headers } = await signer.signUpload(grant, { now: new Date(), expiresInSeconds: 60 });
    const put = (to: string) =>
      fetch(to, {
        method: 'PUT',
        headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
        body: 'hi',
        signal: AbortSignal.timeout(LIMIT_MS),
      });
    expect((await put(url.replace('localhost', '127.0.0.1'))).status).toBe(403);
    expect((await put(url)).status).toBe(200);
    expect((await storage.bucket('incoming').file('k').download())[0].toString()).toBe('hi');
  });
});
