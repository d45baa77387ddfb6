import { Injectable } from '@nestjs/common';
import { type ObjectVersion, OCTET_STREAM, quarantineKey } from '#libs/domain';
import { ObjectStore } from '#libs/storage';
import { ContentStoreConfig } from './content.config.js';
import { type InfectedObject, StoredObjectsRepository } from './stored-objects.repository.js';

/**
 * Moves bytes to the quarantine bucket. The row of an infected object stays, so that the same bytes are recognised when they are
 * uploaded again. Every step can be repeated.
 */
@Injectable()
export class QuarantineService {
  constructor(
    private readonly config: ContentStoreConfig,
    private readonly objects: StoredObjectsRepository,
    private readonly store: ObjectStore,
  ) {}

  /** Moves the bytes of an object that is marked as infected to the quarantine bucket and deletes its variants. */
  async removeBytes({ id, sha256 }: InfectedObject): Promise<void> {
    for (const { isVariant, version, ...at } of await this.objects.locations(id)) {
      const found = version === null ? await this.store.stat(at) : { ...at, version };
      if (found === null) continue;
      if (!isVariant) await this.copy(found, quarantineKey(sha256));
      await this.store.delete(found);
    }
    await this.objects.forgetLocations(id);
  }

  /** Copies bytes to a key in the quarantine bucket. @returns false when `from` does not exist any more */
  async copy(from: ObjectVersion, key: string, signal?: AbortSignal): Promise<boolean> {
    const to = { bucket: this.config.quarantineBucket, key };
    const request = { from, to, expect: 'absent' as const, contentType: OCTET_STREAM };
    // `changed` means that an earlier copy of the same bytes exists.
    return (await this.store.copy(request, { signal })).outcome !== 'source-missing';
  }
}
