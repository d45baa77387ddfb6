import { Injectable } from '@nestjs/common';
import type { Asset } from '#libs/assets';
import { ContentStore, type Digest, incomingGone, infected } from '#libs/content';
import type { ObjectVersion } from '#libs/domain';
import { InspectedTypes } from '#libs/inspection';
import { ObjectStore } from '#libs/storage';
import { ContentReader, type ReadOptions, type ReadResult } from './content-reader.js';
import { InfectedContentService } from './infected-content.service.js';
import { type CheckedFile, InspectionChecks } from './inspection-checks.js';
import { ReaderNeeded } from './reader-needed.js';
import { verifyBytes, verifyStat } from './verify.js';

/** Content that has passed all checks. */
export interface CheckedContent extends CheckedFile {
  readonly digest: Digest;
  /** Label of the scanner: engine and signatures. */
  readonly scannedBy: string;
  /** False for content that could not be scanned completely and is admitted by its type. */
  readonly isClean: boolean;
}

/** Checks the bytes of one generation: size, hash, malware, type, structure. */
@Injectable()
export class ContentChecks {
  constructor(
    private readonly store: ObjectStore,
    private readonly types: InspectedTypes,
    private readonly contentReader: ContentReader,
    private readonly inspectionChecks: InspectionChecks,
    private readonly contents: ContentStore,
    private readonly infectedContent: InfectedContentService,
  ) {}

  /**
   * Reads and checks one generation of an asset's incoming object.
   * @throws ReaderNeeded when `mayInspect` is false and the file needs a reader
   * @throws StowageError rejected, with the code of a status reason; not-found INCOMING_GONE; unavailable. Other
   * errors may be transient: InspectionFailed, or a scanner that fails on these bytes.
   */
  async check(
    asset: Asset,
    object: ObjectVersion,
    { mayInspect, signal }: ReadOptions & { readonly signal: AbortSignal },
  ): Promise<CheckedContent> {
    if (!mayInspect && this.types.isInspected(asset.mimeType)) throw new ReaderNeeded();
    const stat = await this.store.stat(object, { signal });
    if (stat === null) throw incomingGone();
    verifyStat(asset, stat);
    await using read = await this.contentReader.read({ ...asset, object }, { mayInspect, signal });
    verifyBytes(asset, stat, read.digest);
    await this.verifyNotInfected(asset, read, object, signal);
    const { digest, scannedBy, verdict } = read;
    const isClean = verdict.outcome === 'clean';
    return { ...(await this.inspectionChecks.check(asset, read, signal)), digest, scannedBy, isClean };
  }

  /** Quarantines infected bytes before the asset is rejected. */
  private async verifyNotInfected(
    { ownerId }: Asset,
    { verdict, digest }: ReadResult,
    object: ObjectVersion,
    signal: AbortSignal,
  ): Promise<void> {
    if (verdict.outcome === 'error') throw new Error(`the scanner failed: ${verdict.message}`);
    if (verdict.outcome !== 'infected') return;
    const scope = this.contents.scopeOf(ownerId);
    await this.infectedContent.quarantineUpload(object, digest.sha256, scope, signal);
    throw infected(verdict.signature);
  }
}
