import type { Readable } from 'node:stream';
import { StowageError } from '#libs/domain';
import type { ObjectRef, ObjectVersion } from '#libs/domain';
import { ObjectStore } from '../object-store.js';
import type { CallOptions, CopyRequest, CopyResult, ObjectStat } from '../object-store.js';
import { JsonApi, objectPath } from './json-api.js';
import type { GcsOptions } from './json-api.js';
import { rawRead } from './raw-read.js';
import { NoAnswerError, isChanged, isMissing, portError } from './storage-error.js';

export interface GcsObjectStoreOptions extends GcsOptions {
  /** For each stat, delete and start of a read, retries included; default 15 s. */
  readonly callTimeoutMs?: number;
  /** For each call of a copy, retries included; a big copy to another location or class takes many. Default 120 s. */
  readonly copyTimeoutMs?: number;
  /** How long a read may bring no byte while bytes are wanted; default 30 s. */
  readonly stallTimeoutMs?: number;
}

/** The fields of an object resource that are asked for. */
interface ObjectResource {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly size: string;
  readonly crc32c?: string;
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly storageClass?: string;
  readonly timeCreated: string;
}
const FIELDS = 'bucket,name,generation,size,crc32c,contentType,contentEncoding,storageClass,timeCreated';

/** Either the copy, or the token to go on with. */
interface RewriteAnswer {
  readonly rewriteToken?: string;
  readonly resource?: ObjectResource;
}

/** Storage copies a mebibyte at the least in each call, so this is for a store that never says done. */
const MAX_REWRITE_CALLS = 10_000;

const statOf = (resource: ObjectResource): ObjectStat => ({
  bucket: resource.bucket,
  key: resource.name,
  version: resource.generation,
  sizeBytes: Number(resource.size),
  crc32c: resource.crc32c ?? null,
  contentType: resource.contentType || null,
  contentEncoding: resource.contentEncoding || null,
  storageClass: resource.storageClass ?? null,
  createdAt: new Date(resource.timeCreated),
});

const objectNotFound = (cause: unknown) =>
  new StowageError('not-found', 'OBJECT_NOT_FOUND', 'There is no such object.', { cause });

/**
 * Google Cloud Storage; versions are generations. Every call is safe to repeat and is tried up to three times within its
 * timeout. When the answer to a copy or a delete got lost, the repeat meets its own work: a copy then says `changed`, a
 * delete `false`. Errors carry neither URL nor header.
 */
export class GcsObjectStore extends ObjectStore {
  private readonly api: JsonApi;
  private readonly callTimeoutMs: number;
  private readonly copyTimeoutMs: number;
  private readonly stallTimeoutMs: number;

  constructor(options: GcsObjectStoreOptions = {}) {
    super();
    this.api = new JsonApi(options);
    this.callTimeoutMs = options.callTimeoutMs ?? 15_000;
    this.copyTimeoutMs = options.copyTimeoutMs ?? 120_000;
    this.stallTimeoutMs = options.stallTimeoutMs ?? 30_000;
  }

  override async stat(
    object: ObjectRef | ObjectVersion,
    options: CallOptions = {},
  ): Promise<ObjectStat | null> {
    try {
      const resource = await this.api.call<ObjectResource>({
        method: 'GET',
        path: objectPath(object),
        query: { fields: FIELDS, ...('version' in object && { generation: object.version }) },
        timeoutMs: this.callTimeoutMs,
        signal: options.signal,
      });
      return statOf(resource);
    } catch (error) {
      if (isMissing(error)) return null;
      throw portError(error);
    }
  }

  override read(object: ObjectVersion, options: CallOptions = {}): Readable {
    return rawRead({
      open: (signal) =>
        this.api.media({
          method: 'GET',
          path: objectPath(object),
          query: { alt: 'media', generation: object.version },
          timeoutMs: this.callTimeoutMs,
          signal,
        }),
      stallMs: this.stallTimeoutMs,
      signal: options.signal,
      asError: (error) => (isMissing(error) ? objectNotFound(error) : portError(error)) as Error,
    });
  }

  override async copy(request: CopyRequest, options: CallOptions = {}): Promise<CopyResult> {
    const { from, to, expect } = request;
    try {
      const copied = await this.rewrite({
        path: `${objectPath(from)}/rewriteTo${objectPath(to)}`,
        query: {
          sourceGeneration: from.version,
          ifGenerationMatch: expect === 'absent' ? '0' : expect.version,
        },
        // A resource that is given replaces the source's metadata as a whole.
        body: { contentType: request.contentType, cacheControl: request.cacheControl, metadata: {} },
        signal: options.signal,
      });
      return { outcome: 'copied', copy: statOf(copied) };
    } catch (error) {
      if (isChanged(error)) return { outcome: 'changed' };
      if (isMissing(error)) return { outcome: 'source-missing' };
      throw portError(error);
    }
  }

  /** Repeats the call, with all its conditions, until storage says that it is done. */
  private async rewrite(call: {
    path: string;
    query: Record<string, string>;
    body: object;
    signal?: AbortSignal;
  }): Promise<ObjectResource> {
    let rewriteToken: string | undefined;
    for (let calls = 0; calls < MAX_REWRITE_CALLS; calls++) {
      const answer = await this.api.call<RewriteAnswer>({
        ...call,
        method: 'POST',
        query: {
          ...call.query,
          fields: `rewriteToken,resource(${FIELDS})`,
          ...(rewriteToken !== undefined && { rewriteToken }),
        },
        timeoutMs: this.copyTimeoutMs,
      });
      if (answer.resource !== undefined) return answer.resource;
      rewriteToken = answer.rewriteToken;
    }
    throw new NoAnswerError('The copy does not come to an end');
  }

  override async delete(object: ObjectVersion, options: CallOptions = {}): Promise<boolean> {
    try {
      await this.api.call({
        method: 'DELETE',
        path: objectPath(object),
        query: { generation: object.version },
        timeoutMs: this.callTimeoutMs,
        signal: options.signal,
      });
      return true;
    } catch (error) {
      if (isMissing(error) || isChanged(error)) return false;
      throw portError(error);
    }
  }
}
