import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Storage, type File, type GetSignedUrlConfig } from '@google-cloud/storage';
import {
  startGcsEmulator,
  type GcsEmulator,
  type GcsEmulatorOptions,
} from '../../../libs/gcp-emulator/src/gcs/index.js';

const CLIENT_EMAIL = 'signer@stowage.example';
const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
});

/** A real emulator on a real folder, and the unmodified official client beside it. */
export class Harness {
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
  }

  async stop(): Promise<void> {
    await this.emulator.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async sign(file: File, config: Partial<GetSignedUrlConfig> = {}): Promise<string> {
    const expires = Date.now() + 600_000;
    const [url] = await file.getSignedUrl({ version: 'v4', action: 'read', expires, ...config });
    return url;
  }

  /** The files that hold bytes just now: finished ones and those still being written. */
  async filesOnDisk(): Promise<string[]> {
    const entries = await readdir(this.dataDir, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile() && !entry.name.startsWith('index.sqlite'))
      .map((entry) => path.join(entry.parentPath, entry.name));
  }
}

function clientOf({ url }: GcsEmulator): Storage {
  return new Storage({
    apiEndpoint: url,
    projectId: 'test',
    credentials: { client_email: CLIENT_EMAIL, private_key: privateKey },
    retryOptions: { autoRetry: false },
  });
}

/** Waits for a condition; the test's own timeout is what gives up. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
