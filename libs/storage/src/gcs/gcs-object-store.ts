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
  ObjectStat,
  WriteRequest,
  WriteResult,
} from '../object-store.js';
import { GcsClient } from './gcs-client.js';
import type { GcsOptions } from './gcs-client.js';
import { openMedia } from './media.js';
import { rawRead } from './raw-read.js';
import { NoAnswerError, isChanged, isMissing, portError } from './storage-error.js';

export interface GcsObjectStoreOptions extends GcsOptions {
  /** For each stat, write, delete and start of a read, retries included; default 15 s. */
  readonly callTimeoutMs?: number;
  /** For each call of a copy, retries included; a big copy to another location or class takes many. Default 120 s. */
  readonly copyTimeoutMs?: number;
  /** How long a read may bring no byte while bytes are wanted; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/** The fields of an object resource that are asked for. */
const FIELDS = 'bucket,name,generation,size,crc32c,contentType,contentEncoding,storageClass,timeCreated';

/** Either the copy, or the token to go on with. */
interface RewriteAnswer {
  readonly rewriteToken?: string;
  readonly resource?: FileMetadata;
}

/** Storage copies a mebibyte at the least in each call, so this is for a store that never says done. */
const MAX_REWRITE_CALLS = 10_000;

/** The client takes any answer for a resource, even a proxy's page. */
function statOf(resource: FileMetadata | undefined): ObjectStat {
  const { bucket, name, generation, size, timeCreated } = resource ?? {};
  if (!bucket || !name || !generation || size === undefined || !timeCreated) {
    throw new NoAnswerError('Storage gave something that is not an object resource');
  }
  return {
    bucket,
    key: name,
    version: String(generation),
    sizeBytes: Number(size),
    crc32c: resource?.crc32c ?? null,
    contentType: resource?.contentType || null,
    contentEncoding: resource?.contentEncoding || null,
    storageClass: resource?.storageClass ?? null,
    createdAt: new Date(timeCreated),
  };
}

/**
 * The client's name for an object. It takes a version that is no number for none at all, and would thus name the live
 * object; a key of dots would name the bucket, once the URL is put in order.
 */
function fileOf(storage: Storage, object: ObjectRef | ObjectVersion): File {
  if (/^\.{1,2}$/.test(object.key)) throw new TypeError('No object can have this key');
  if (!('version' in object)) return storage.bucket(object.bucket).file(object.key);
  return storage.bucket(object.bucket).file(object.key, { generation: generationOf(object) });
}

function generationOf({ version }: { readonly version: string }): string {
  if (!/^[1-9]\d{0,15}$/.test(version)) throw new TypeError('This version is not a generation');
  return version;
}

/** As `ifGenerationMatch`: storage takes 0 for "there is none", and an empty one for no condition at all. */
const conditionOf = (expect: ExpectedVersion) => (expect === 'absent' ? '0' : generationOf(expect));

/** As storage writes it: Base64, big-endian. */
function crc32cOf(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32c(bytes));
  return sum.toString('base64');
}

const objectNotFound = (cause: unknown) =>
  new StowageError('not-found', 'OBJECT_NOT_FOUND', 'There is no such object.', { cause });

/**
 * Google Cloud Storage; versions are generations. Every call is safe to repeat and is tried up to three times within its
 * timeout. When the answer to a copy, a write or a delete got lost, the repeat meets its own work: a copy and a write then
 * say `changed`, a delete `false`. Errors carry neither URL nor header.
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
   * Repeats the call, with all its conditions, until storage says that it is done. `File.copy` drops conditions and
   * metadata after the first call, has one end for all calls, and cannot go on after a failure where it was.
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
          // A resource that is given replaces the source's metadata as a whole.
          json: { contentType: metadata.contentType, cacheControl: metadata.cacheControl, metadata: {} },
        });
        const { rewriteToken: next, resource } = (answer ?? {}) as RewriteAnswer;
        return next === undefined || resource !== undefined ? { copy: statOf(resource) } : { next };
      });
      if (step.copy !== undefined) return step.copy;
      rewriteToken = step.next;
    }
    throw new NoAnswerError('The copy does not come to an end');
  }

  override async write(request: WriteRequest, { signal }: CallOptions = {}): Promise<WriteResult> {
    const { to, body, expect, contentType, cacheControl } = request;
    try {
      return await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const file = fileOf(storage, to);
        await file.save(body, {
          resumable: false,
          // Storage compares, before there is an object: the client would compare afterwards, and delete what is there by then.
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

  override async delete(object: ObjectVersion, { signal }: CallOptions = {}): Promise<boolean> {
    try {
      await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const [answer] = await fileOf(storage, object).delete();
        const page: unknown = answer.body;
        // Storage itself sends nothing.
        if (typeof page === 'string' && page !== '') throw new NoAnswerError('A page came, not an answer');
      });
      return true;
    } catch (error) {
      if (isMissing(error) || isChanged(error)) return false;
      throw portError(error);
    }
  }
}
