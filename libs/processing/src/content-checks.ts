import { Inject, Injectable } from '@nestjs/common';
import { type Asset, ASSETS_OPTIONS, type AssetsOptions } from '#libs/assets';
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
import { ContentStore, incomingGone, infected } from './content-store.js';
import { ContentReader, type ReadOptions, type ReadResult } from './content-reader.js';
import type { Digest } from './content-digest.js';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';
import { ReaderNeeded } from './reader-needed.js';
import { rejected, verifyBytes, verifyStat, verifyType } from './verify.js';

/** What is known of an asset's bytes once all checks have passed. */
export interface CheckedContent {
  readonly digest: Digest;
  readonly mimeType: string;
  readonly properties: AssetProperties;
  /** Those that its stored object has not got yet. */
  readonly renditions: readonly Rendition[];
  /** Whether variants were made of these bytes or tried, so that they are when the profiles change. */
  readonly getsVariants: boolean;
  /** Why a picture has none; null when it has them, when no profile asks for any, and for other files. */
  readonly variantsReason: VariantsReason | null;
  /** Who looked for malware: engine and signatures. */
  readonly scannedBy: string;
  /** Whether they looked into all of it; else it is here because the operator lets its type in. */
  readonly isClean: boolean;
}

/** Everything that is found out about the bytes of one generation, before anything is done with them. */
@Injectable()
export class ContentChecks {
  constructor(
    @Inject(ASSETS_OPTIONS) private readonly assets: AssetsOptions,
    @Inject(PIPELINE_OPTIONS) private readonly options: PipelineOptions,
    private readonly store: ObjectStore,
    private readonly contentReader: ContentReader,
    private readonly inspector: ContentInspector,
    private readonly contents: ContentStore,
  ) {}

  /**
   * @throws ReaderNeeded when `mayInspect` is false
   * @throws StowageError rejected, with the code of a status reason; not-found INCOMING_GONE; unavailable. Anything else is
   * a failure that may pass: InspectionFailed, a scanner that fails on these bytes.
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
    await this.refuseInfected(asset, read, object, signal);
    const { digest, scannedBy, verdict } = read;
    const isClean = verdict.outcome === 'clean';
    return { ...(await this.inspect(asset, read, signal)), digest, scannedBy, isClean };
  }

  /** Infected bytes are put away before anybody is told. */
  private async refuseInfected(
    { ownerId }: Asset,
    { verdict, digest }: ReadResult,
    object: ObjectVersion,
    signal: AbortSignal,
  ): Promise<void> {
    if (verdict.outcome === 'error') throw new Error(`the scanner failed: ${verdict.message}`);
    if (verdict.outcome !== 'infected') return;
    await this.contents.putAway(object, digest, this.contents.scopeOf(ownerId), signal);
    throw infected(verdict.signature);
  }

  private async inspect(asset: Asset, read: ReadResult, signal: AbortSignal) {
    const scope = this.contents.scopeOf(asset.ownerId);
    const made = await this.contents.variantsOf(read.digest.sha256, scope, signal);
    const found = await this.look(asset, read, made, scope, signal);
    const mimeType = verifyType(asset, found.detected, this.assets.allowedTypes);
    if (found.refusal !== null) throw rejected(found.refusal.code, found.refusal.message);
    this.verifyOpenness(mimeType, read, found);
    const { profiles } = this.options;
    const hasVariants = found.renditions.length > 0 || profiles.some((profile) => made.has(specOf(profile)));
    const isWanted = profiles.length > 0 && kindOfMediaType(mimeType) === 'IMAGE';
    const variantsReason = hasVariants || !isWanted ? null : reasonOf(found, read);
    const getsVariants = hasVariants || (isWanted && found.variantsReason !== null);
    const { properties, renditions } = found;
    return { mimeType, properties, renditions, getsVariants, variantsReason };
  }

  private async look(
    asset: Asset,
    { digest, detected, path, isTooLarge, isArchiveToo }: ReadResult,
    made: ReadonlyMap<string, string>,
    scope: string,
    signal: AbortSignal,
  ): Promise<Inspection> {
    const opaque = isTooLarge ? 'it is too large to be looked into' : isArchiveToo ? ARCHIVE_AS_WELL : null;
    const nothing = {
      detected,
      properties: NO_PROPERTIES,
      renditions: [],
      variantsReason: null,
      refusal: null,
      opaque,
    };
    if (path === null) return nothing;
    const profiles = this.options.profiles.filter((profile) => !made.has(specOf(profile)));
    const longestSide = Math.max(0, ...this.options.profiles.map(({ maxSide }) => maxSide));
    const { sizeBytes } = asset;
    const request = { path, sizeBytes, detected, profiles, longestSide };
    return this.inspector.inspect(request, { scope, sha256: digest.sha256 }, signal);
  }

  /** What nobody could look into is refused, unless the operator has said that its type is stored all the same. */
  private verifyOpenness(mimeType: string, { verdict }: ReadResult, { opaque }: Inspection): void {
    // The inspection says more than the scanner's signature name.
    const why = opaque ?? (verdict.outcome === 'unscannable' ? verdict.why : null);
    if (why === null) return;
    const { admitUnscannable } = this.options;
    if (admitUnscannable.length > 0 && isAllowedType(mimeType, admitUnscannable)) return;
    throw rejected('UNSCANNABLE', `The file could not be scanned for malware: ${why}.`);
  }
}

/** Of a picture without renditions. Formats that no reader opens have no decoder either. */
const reasonOf = ({ variantsReason }: Inspection, { isTooLarge }: ReadResult): VariantsReason =>
  variantsReason ?? (isTooLarge ? 'TOO_LARGE' : 'DECODER_MISSING');
