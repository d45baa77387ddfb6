import { hkdfSync, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, link, mkdir, readFile, rm, statfs, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** The reason why the embedded stack cannot run. The message is one sentence for the user who started it. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
}

/** Secrets of one data folder, generated once. They protect services on loopback only. */
export interface Secrets {
  readonly jwtSecret: string;
  readonly hmacAccessId: string;
  readonly hmacSecret: string;
  readonly postgresPassword: string;
  /** 64 hexadecimal digits. */
  readonly uploadSessionKey: string;
}

/** Free disk space that PostgreSQL needs for a new cluster and its write-ahead log. */
const MIN_FREE_BYTES = 200 * 2 ** 20;

const ERROR_TEXTS: Record<string, string> = {
  EEXIST: 'is not a folder',
  ENOTDIR: 'is not a folder',
  EACCES: 'is not writable for you',
  EPERM: 'is not writable for you',
  EROFS: 'is on a read-only file system',
  ENOSPC: 'is on a full disk',
};

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? '';

/**
 * Creates the data folder of the embedded stack, or checks that the existing one is usable.
 * @returns its absolute path
 * @throws StartFailure if the path is not a folder, is not writable, or its disk is full
 */
export async function openDataFolder(folder: string): Promise<string> {
  const absolute = path.resolve(folder);
  try {
    await mkdir(absolute, { recursive: true });
    await access(absolute, constants.W_OK | constants.X_OK);
  } catch (error) {
    const sentence = ERROR_TEXTS[codeOf(error)];
    if (sentence === undefined) throw error;
    throw new StartFailure(`The data folder ${absolute} ${sentence}; choose another with DATA_DIR=…`);
  }
  const { bavail, bsize } = await statfs(absolute);
  if (bavail * bsize < MIN_FREE_BYTES) {
    throw new StartFailure(
      `The disk of the data folder ${absolute} is full: ${Math.floor((bavail * bsize) / 2 ** 20)} MiB are free, ` +
        `at least ${MIN_FREE_BYTES / 2 ** 20} MiB are needed`,
    );
  }
  return absolute;
}

/**
 * Reads the secrets of a data folder from `secrets.json`, after generating random ones the first time.
 * @throws StartFailure if the file is damaged or not readable
 */
export async function readSecrets(folder: string): Promise<Secrets> {
  const file = path.join(folder, 'secrets.json');
  let text = await textOf(file);
  if (text === null) {
    await mkdir(folder, { recursive: true });
    await createOnce(file, JSON.stringify(newSecrets(), null, 2) + '\n');
    text = await textOf(file);
  }
  const secrets = parse(text ?? '');
  if (secrets === null) {
    throw new StartFailure(
      `${file} is damaged; restore it, or remove ${folder} to start again without its data`,
    );
  }
  return secrets;
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw new StartFailure(`${file} cannot be read (${codeOf(error)})`);
  }
}

function parse(text: string): Secrets | null {
  try {
    const found = withSessionKey(JSON.parse(text) as Partial<Record<keyof Secrets, unknown>> | null);
    const isComplete = Object.keys(newSecrets()).every((key) => {
      const value = found?.[key as keyof Secrets];
      return typeof value === 'string' && value.length >= 16;
    });
    return isComplete ? (found as Secrets) : null;
  } catch {
    return null;
  }
}

/**
 * Adds the session key to secrets of older versions. It is derived, so that all processes that read the folder get one
 * key.
 */
function withSessionKey(found: Partial<Record<keyof Secrets, unknown>> | null) {
  if (found === null || 'uploadSessionKey' in found) return found;
  const derived = Buffer.from(hkdfSync('sha256', String(found.hmacSecret), '', 'upload sessions', 32));
  return { ...found, uploadSessionKey: derived.toString('hex') };
}

/** The access id has the format of Cloud Storage: https://cloud.google.com/storage/docs/authentication/hmackeys */
function newSecrets(): Secrets {
  return {
    jwtSecret: randomBytes(32).toString('base64url'),
    hmacAccessId: `GOOG1E${randomBytes(36).toString('hex').toUpperCase().slice(0, 55)}`,
    hmacSecret: randomBytes(30).toString('base64'),
    postgresPassword: randomBytes(24).toString('base64url'),
    uploadSessionKey: randomBytes(32).toString('hex'),
  };
}

/**
 * Writes a file atomically and never overwrites one: if two processes write at once, both then read the file that was
 * first.
 */
async function createOnce(file: string, content: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, content, { mode: 0o600, flush: true });
  try {
    await link(draft, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
}
