import { Injectable } from '@nestjs/common';
import { type Asset, AssetsConfig } from '#libs/assets';
import { ContentStore, ContentStoreConfig, type Digest, incomingGone, infected } from '#libs/content';
import {
  type AssetProperties,
  isAllowedType,
  kindOfMediaType,
  NO_PROPERTIES,
  type ObjectVersion,
  specOf,
  type VariantsReason,
} from '#libs/domain';
import { ARCHIVE_AS_WELL, type Inspection, isInspected, type Rendition } from '#libs/inspection';
import { ObjectStore } from '#libs/storage';
import { ContentInspector } from './content-inspector.js';
import { ContentReader, type ReadOptions, type ReadResult } from './content-reader.js';
import { InfectedContentService } from './infected-content.service.js';
import { ProcessingConfig } from './processing.config.js';
import { ReaderNeeded } from './reader-needed.js';
import { rejected, verifyBytes, verifyStat, verifyType } from './verify.js';

/** Content that has passed all checks. */
export interface CheckedContent {
  readonly digest: Digest;
  readonly mimeType: string;
  readonly properties: AssetProperties;
  /** Renditions that are not stored yet. */
  readonly renditions: readonly Rendition[];
  /** Whether variants were created or attempted, so that they are rebuilt when the profiles change. */
  readonly getsVariants: boolean;
  /** Why a picture has no variants; null when it has them, without configured profiles, and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** Label of the scanner: engine and signatures. */
  readonly scannedBy: string;
  /** False for content that could not be scanned completely and is admitted by its type. */
  readonly isClean: boolean;
}

/** Checks the bytes of one generation: size, hash, malware, type, structure. */
@Injectable()
export class ContentChecks {
  constructor(
    private readonly assets: AssetsConfig,
    private readonly variants: ContentStoreConfig,
    private readonly config: ProcessingConfig,
    private readonly store: ObjectStore,
    private readonly contentReader: ContentReader,
    private readonly inspector: ContentInspector,
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
    if (!mayInspect && isInspected(asset.mimeType)) throw new ReaderNeeded();
    const stat = await this.store.stat(object, { signal });
    if (stat === null) throw incomingGone();
    verifyStat(asset, stat);
    await using read = await this.contentReader.read({ ...asset, object }, { mayInspect, signal });
    verifyBytes(asset, stat, read.digest);
    await this.verifyNotInfected(asset, read, object, signal);
    const { digest, scannedBy, verdict } = read;
    const isClean = verdict.outcome === 'clean';
    return { ...(await this.inspect(asset, read, signal)), digest, scannedBy, isClean };
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

  private async inspect(asset: Asset, read: ReadResult, signal: AbortSignal) {
    const scope = this.contents.scopeOf(asset.ownerId);
    const existing = await this.contents.variantsOf(read.digest.sha256, scope, signal);
    const found = await this.readProperties(asset, read, existing, scope, signal);
    const mimeType = verifyType(asset, found.detected, this.assets.allowedTypes);
    if (found.refusal !== null) throw rejected(found.refusal.code, found.refusal.message);
    this.verifyScannable(mimeType, read, found);
    const { profiles } = this.variants;
    const hasVariants =
      found.renditions.length > 0 || profiles.some((profile) => existing.has(specOf(profile)));
    const isWanted = profiles.length > 0 && kindOfMediaType(mimeType) === 'IMAGE';
    const variantsReason = hasVariants || !isWanted ? null : reasonOf(found, read);
    const getsVariants = hasVariants || (isWanted && found.variantsReason !== null);
    const { properties, renditions } = found;
    return { mimeType, properties, renditions, getsVariants, variantsReason };
  }

  private async readProperties(
    asset: Asset,
    { digest, detected, path, isTooLarge, isAlsoArchive }: ReadResult,
    existing: ReadonlyMap<string, string>,
    scope: string,
    signal: AbortSignal,
  ): Promise<Inspection> {
    const opaque = isTooLarge ? 'it is too large to be inspected' : isAlsoArchive ? ARCHIVE_AS_WELL : null;
    const uninspected = {
      detected,
      properties: NO_PROPERTIES,
      renditions: [],
      variantsReason: null,
      refusal: null,
      opaque,
    };
    if (path === null) return uninspected;
    const profiles = this.variants.profiles.filter((profile) => !existing.has(specOf(profile)));
    const longestSide = Math.max(0, ...this.variants.profiles.flatMap(({ width, height }) => [width, height]));
    const { sizeBytes } = asset;
    const request = { path, sizeBytes, detected, profiles, longestSide };
    return this.inspector.inspect(request, { scope, sha256: digest.sha256 }, signal);
  }

  /** Rejects content that could not be scanned, unless the operator admits its type. */
  private verifyScannable(mimeType: string, { verdict }: ReadResult, { opaque }: Inspection): void {
    // The reason from the inspection is more specific than the reason from the scanner.
    const why = opaque ?? (verdict.outcome === 'unscannable' ? verdict.why : null);
    if (why === null) return;
    const { admitUnscannable } = this.config;
    if (admitUnscannable.length > 0 && isAllowedType(mimeType, admitUnscannable)) return;
    throw rejected('UNSCANNABLE', `The file could not be scanned for malware: ${why}.`);
  }
}

/** Why a picture has no renditions. A format without a reader has no decoder either. */
const reasonOf = ({ variantsReason }: Inspection, { isTooLarge }: ReadResult): VariantsReason =>
  variantsReason ?? (isTooLarge ? 'TOO_LARGE' : 'DECODER_MISSING');
