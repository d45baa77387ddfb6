import { Inject, Injectable } from '@nestjs/common';
import { ASSETS_OPTIONS, type AssetsOptions, StoredObjects } from '#libs/assets';
import { contentKey, type ObjectRef, type ObjectVersion, StowageError, unavailable } from '#libs/domain';
import { type ObjectStat, ObjectStore } from '#libs/storage';
import type { Observation } from './read-object.js';

/** Readers get the asset's own type through the signed URL; nothing of the client's is stored beside the bytes. */
const STORED_TYPE = 'application/octet-stream';
const CACHE_CONTROL = 'private, max-age=31536000, immutable';
/** Every turn means that somebody else changed the object just then. */
const MAX_TURNS = 10;

export interface StoredContent extends ObjectRef {
  readonly objectId: bigint;
}

/**
 * Verified bytes to their place in the content bucket, which identical bytes share. A row stands and is pinned before
 * anything is copied; the copy is always tried, so that hit and miss take the same calls.
 */
@Injectable()
export class ContentStore {
  constructor(
    @Inject(ASSETS_OPTIONS) private readonly options: AssetsOptions,
    private readonly store: ObjectStore,
    private readonly objects: StoredObjects,
  ) {}

  /** @throws StowageError not-found INCOMING_GONE; unavailable STORED_OBJECT_BUSY, STORAGE_UNAVAILABLE */
  async put(
    from: ObjectVersion,
    seen: Observation,
    ownerId: bigint,
    signal?: AbortSignal,
  ): Promise<StoredContent> {
    const scope = this.options.dedupeScope === 'owner' ? String(ownerId) : '';
    const to = { bucket: this.options.contentBucket, key: contentKey(seen.sha256, scope) };
    for (let turn = 0; turn < MAX_TURNS; turn++) {
      const staged = await this.objects.stage({ scope, ...seen }, to, new Date());
      if (staged === null) break;
      const known = staged.version === null ? [] : [staged.version];
      const first = await this.copy(from, to, null, signal);
      if (first !== null) {
        // The place was empty, so whatever version the row knew is gone.
        if (await this.objects.recordCopy(staged.id, first, known)) return { objectId: staged.id, ...to };
        continue;
      }
      const there = await this.store.stat(to, { signal });
      if (there === null) continue;
      if (there.version === staged.version) return { objectId: staged.id, ...to };
      // Bytes that no row vouches for are never trusted: they are written over, at the version seen.
      const second = await this.copy(from, to, there.version, signal);
      if (second !== null && (await this.objects.recordCopy(staged.id, second, [...known, there.version]))) {
        return { objectId: staged.id, ...to };
      }
    }
    throw unavailable('STORED_OBJECT_BUSY', 'The stored object is being changed. Try again later.');
  }

  private async copy(
    from: ObjectVersion,
    to: ObjectRef,
    replaces: string | null,
    signal?: AbortSignal,
  ): Promise<ObjectStat | null> {
    const expect = replaces === null ? ('absent' as const) : { version: replaces };
    const request = { from, to, expect, contentType: STORED_TYPE, cacheControl: CACHE_CONTROL };
    const result = await this.store.copy(request, { signal });
    switch (result.outcome) {
      case 'copied':
        return result.copy;
      case 'changed':
        return null;
      case 'source-missing':
        throw incomingGone();
    }
  }
}

export const incomingGone = () =>
  new StowageError('not-found', 'INCOMING_GONE', 'The uploaded bytes are not there any more.');
