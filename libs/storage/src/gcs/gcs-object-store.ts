import type { Readable } from 'node:stream';
import type { File, FileMetadata, Storage } from '@google-cloud/storage';
import { crc32c } from '@node-rs/crc32';
import { StowageError } from '#libs/domain';
import type { ObjectRef, ObjectVersion } from '#libs/domain';
import { ObjectStore } from '../object-store.js';
import type {
  CallOptions,
  CopyRequest,
  CopyResult,
  ExpectedVersion,
  ListRange,
  ObjectStat,
  WriteRequest,
  WriteResult,
} from '../object-store.js';
import { GcsClient } from './gcs-client.js';
import type { GcsOptions } from './gcs-client.js';
import { openMedia } from './media.js';
import { listObjects } from './object-list.js';
import { FIELDS, statOf } from './object-resource.js';
import { rawRead } from './raw-read.js';
import { NoAnswerError, isChanged, isMissing, portError, storageUnavailable } from './storage-error.js';

export interface GcsObjectStoreOptions extends GcsOptions {
  /** Limit in milliseconds for each stat, write, delete and start of a read, retries included; default 15 s. */
  readonly callTimeoutMs?: number;
  /**
   * Limit in milliseconds for each call of a copy, retries included; default 120 s. A large copy to another location or
   * storage class takes many calls.
   */
  readonly copyTimeoutMs?: number;
  /** How long a read may receive no byte while the reader is waiting, in milliseconds; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/** Answer of one rewrite call: the finished copy, or the token for the next call. */
interface RewriteAnswer {
  readonly rewriteToken?: string;
  readonly resource?: FileMetadata;
}

/** Guards against a rewrite that never finishes; each call copies at least 1 MiB. */
const MAX_REWRITE_CALLS = 10_000;

/**
 * Returns the client's handle for an object. The checks are needed because the client ignores a version that is not a
 * number and would address the live object, and because URL normalization turns a key of dots into the bucket.
 */
function fileOf(storage: Storage, object: ObjectRef | ObjectVersion): File {
  if (/^\.{1,2}$/.test(object.key)) throw new TypeError('An object key must not be "." or ".."');
  if (!('version' in object)) return storage.bucket(object.bucket).file(object.key);
  return storage.bucket(object.bucket).file(object.key, { generation: generationOf(object) });
}

function generationOf({ version }: { readonly version: string }): string {
  if (!/^[1-9]\d{0,15}$/.test(version)) throw new TypeError('The version is not a GCS generation');
  return version;
}

/** Value of `ifGenerationMatch`: 0 means that the object must not exist; an empty value would mean no condition. */
const conditionOf = (expect: ExpectedVersion) => (expect === 'absent' ? '0' : generationOf(expect));

/** The checksum as GCS encodes it: Base64 of the big-endian value. */
function crc32cOf(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}

const objectNotFound = (cause: unknown) =>
  new StowageError('not-found', 'OBJECT_NOT_FOUND', 'There is no such object.', { cause });

/**
 * Object store on Google Cloud Storage; versions are generations. Every call can be repeated and makes up to three
 * attempts within its timeout. If the answer to an attempt is lost, the retry may find the first attempt's result: a
 * copy or write then returns `changed`, a delete `false`. Errors carry neither URLs nor headers.
 */
export class GcsObjectStore extends ObjectStore {
  private readonly client: GcsClient;
  private readonly callTimeoutMs: number;
  private readonly copyTimeoutMs: number;
  private readonly stallTimeoutMs: number;

  constructor(options: GcsObjectStoreOptions = {}) {
    super();
    this.client = new GcsClient(options);
    this.callTimeoutMs = options.callTimeoutMs ?? 15_000;
    this.copyTimeoutMs = options.copyTimeoutMs ?? 120_000;
    this.stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
  }

  override async stat(
    object: ObjectRef | ObjectVersion,
    { signal }: CallOptions = {},
  ): Promise<ObjectStat | null> {
    try {
      return await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const [resource] = await fileOf(storage, object).getMetadata({ fields: FIELDS });
        return statOf(resource);
      });
    } catch (error) {
      if (isMissing(error)) return null;
      throw portError(error);
    }
  }

  override read(object: ObjectVersion, { signal }: CallOptions = {}): Readable {
    return rawRead({
      open: (opening) =>
        this.client.call({ timeoutMs: this.callTimeoutMs, signal: opening }, (storage) =>
          openMedia(storage, fileOf(storage, object), this.client.agents),
        ),
      stallMs: this.stallTimeoutMs,
      signal,
      asError: (error) => (isMissing(error) ? objectNotFound(error) : portError(error)) as Error,
    });
  }

  override async copy(request: CopyRequest, { signal }: CallOptions = {}): Promise<CopyResult> {
    try {
      return { outcome: 'copied', copy: await this.rewrite(request, signal) };
    } catch (error) {
      if (isChanged(error)) return { outcome: 'changed' };
      if (isMissing(error)) return { outcome: 'source-missing' };
      throw portError(error);
    }
  }

  /**
   * Repeats the rewrite call, with all its conditions, until storage reports completion. `File.copy` is not used: it
   * drops conditions and metadata after the first call, has one deadline for all calls, and cannot resume after a
   * failure.
   */
  private async rewrite({ from, to, expect, ...metadata }: CopyRequest, signal?: AbortSignal) {
    let rewriteToken: string | undefined;
    for (let calls = 0; calls < MAX_REWRITE_CALLS; calls++) {
      const step = await this.client.call({ timeoutMs: this.copyTimeoutMs, signal }, async (storage) => {
        const [source, target] = [fileOf(storage, from), fileOf(storage, to)];
        const [answer] = await source.bucket.request({
          method: 'POST',
          uri: `/o/${source.id}/rewriteTo/b/${encodeURIComponent(to.bucket)}/o/${target.id}`,
          qs: {
            sourceGeneration: from.version,
            ifGenerationMatch: conditionOf(expect),
            fields: `rewriteToken,resource(${FIELDS})`,
            ...(rewriteToken !== undefined && { rewriteToken }),
          },
          // An explicit resource replaces all metadata of the source.
          json: { contentType: metadata.contentType, cacheControl: metadata.cacheControl, metadata: {} },
        });
        const { rewriteToken: next, resource } = (answer ?? {}) as RewriteAnswer;
        return next === undefined || resource !== undefined ? { copy: statOf(resource) } : { next };
      });
      if (step.copy !== undefined) return step.copy;
      rewriteToken = step.next;
    }
    throw new NoAnswerError(`The copy is incomplete after ${MAX_REWRITE_CALLS} calls`);
  }

  override async write(request: WriteRequest, { signal }: CallOptions = {}): Promise<WriteResult> {
    const { to, body, expect, contentType, cacheControl } = request;
    try {
      return await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const file = fileOf(storage, to);
        await file.save(body, {
          resumable: false,
          // Storage validates the checksum before it creates the object. The client would validate afterwards and
          // delete whichever object has the key by then.
          validation: false,
          preconditionOpts: { ifGenerationMatch: conditionOf(expect) },
          metadata: { contentType, cacheControl, crc32c: crc32cOf(body) },
        });
        return { outcome: 'written', object: statOf(file.metadata) };
      });
    } catch (error) {
      if (isChanged(error)) return { outcome: 'changed' };
      throw portError(error);
    }
  }

  override async list(range: ListRange, limit: number, { signal }: CallOptions = {}): Promise<ObjectStat[]> {
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new RangeError('The limit must be a positive integer');
    const limits = { timeoutMs: this.callTimeoutMs, signal };
    try {
      return await listObjects((attempt) => this.client.call(limits, attempt), range, limit);
    } catch (error) {
      // A list names no object, so any "not found" means the bucket.
      throw isMissing(error) ? storageUnavailable(error) : portError(error);
    }
  }

  override async delete(object: ObjectVersion, { signal }: CallOptions = {}): Promise<boolean> {
    try {
      await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const [answer] = await fileOf(storage, object).delete();
        const body: unknown = answer.body;
        // Storage sends no body, so a body comes from a proxy.
        if (typeof body === 'string' && body !== '') throw new NoAnswerError('Storage answered with a page');
      });
      return true;
    } catch (error) {
      if (isMissing(error) || isChanged(error)) return false;
      throw portError(error);
    }
  }
}
