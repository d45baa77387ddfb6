import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Storage, type File, type GetSignedUrlConfig, type StorageOptions } from '@google-cloud/storage';
import {
  startGcsEmulator,
  type GcsEmulator,
  type GcsEmulatorOptions,
} from '../../../libs/gcp-emulator/src/gcs/index.js';

// The client adds more than ten listeners to an upload stream, and Node.js would warn of a leak.
EventEmitter.defaultMaxListeners = 20;

const CLIENT_EMAIL = 'signer@stowage.example';
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

/** A real emulator with a temporary data folder, and the unmodified official client. */
export class Harness {
  private signer: Storage | undefined;

  private constructor(
    readonly dataDir: string,
    private readonly options: Partial<GcsEmulatorOptions>,
    public emulator: GcsEmulator,
    public storage: Storage,
  ) {}

  static async start(options: Partial<GcsEmulatorOptions> = {}): Promise<Harness> {
    const dataDir = await mkdtemp(path.join(os.tmpdir(), 'stowage-gcs-'));
    const emulator = await Harness.launch(dataDir, options);
    return new Harness(dataDir, options, emulator, clientOf(emulator));
  }

  private static launch(dataDir: string, options: Partial<GcsEmulatorOptions>): Promise<GcsEmulator> {
    const rsaKeys = [{ clientEmail: CLIENT_EMAIL, publicKeyPem: publicKey }];
    return startGcsEmulator({ port: 0, dataDir, rsaKeys, ...options });
  }

  async restart(options: Partial<GcsEmulatorOptions> = this.options): Promise<void> {
    await this.emulator.close();
    this.emulator = await Harness.launch(this.dataDir, options);
    this.storage = clientOf(this.emulator);
    this.signer = undefined;
  }

  async stop(): Promise<void> {
    await this.emulator.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Signs a URL with the official client; by default it allows reading for 10 minutes. */
  async sign(file: File, config: Partial<GetSignedUrlConfig> = {}): Promise<string> {
    this.signer ??= clientOf(this.emulator, { client_email: CLIENT_EMAIL, private_key: privateKey });
    const expires = Date.now() + 600_000;
    const signable = this.signer.bucket(file.bucket.name).file(file.name);
    const [url] = await signable.getSignedUrl({ version: 'v4', action: 'read', expires, ...config });
    return url;
  }

  /** Files that hold bytes of objects, complete or still being written. */
  async filesOnDisk(): Promise<string[]> {
    const entries = await readdir(this.dataDir, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && !entry.name.startsWith('index.sqlite'))
      .map((entry) => path.join(entry.parentPath, entry.name));
  }
}

/** The emulator needs no credentials; only signing does. */
function clientOf({ url }: GcsEmulator, credentials?: StorageOptions['credentials']): Storage {
  return new Storage({
    apiEndpoint: url,
    projectId: 'test',
    credentials,
    retryOptions: { autoRetry: false },
  });
}

/** Waits until the condition holds. Throws after 20 seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('timed out waiting for a condition');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Writes raw parts to one connection and collects the responses, like clients that send before they read. */
export async function rawExchange(
  url: string,
  parts: readonly (string | Buffer)[],
  done: RegExp,
): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
  try {
    await once(socket, 'connect');
    for (const part of parts) socket.write(part);
    await until(() => done.test(received) || socket.destroyed);
  } finally {
    socket.destroy();
  }
  return received;
}

const ROOT = path.resolve(import.meta.dirname, '../../..');

/** Starts the emulator in a separate process, which a test can kill. */
export async function launchProcess(dataDir: string): Promise<{ child: ChildProcess; url: string }> {
  const entry = path.join(ROOT, 'libs/gcp-emulator/src/gcs/index.ts');
  const program = `
    import { startGcsEmulator } from ${JSON.stringify(entry)};
    const { url } = await startGcsEmulator({ port: 0, dataDir: ${JSON.stringify(dataDir)} });
    console.log(url);
  `;
  const resolver = path.join(ROOT, 'test/support/ts-resolve.mjs');
  const flags = [
    '--experimental-transform-types',
    '--disable-warning=ExperimentalWarning',
    '--import',
    resolver,
  ];
  const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, url: line.toString().trim() };
}
