import { Injectable } from '@nestjs/common';
import { type Asset, AssetsConfig } from '#libs/assets';
import { ContentStore, ContentStoreConfig } from '#libs/content';
import {
  type AssetProperties,
  isAllowedType,
  kindOfMediaType,
  NO_PROPERTIES,
  specOf,
  type VariantsReason,
} from '#libs/domain';
import { ARCHIVE_AS_WELL, type Inspection, type Rendition } from '#libs/inspection';
import { ContentInspector } from './content-inspector.js';
import type { ReadResult } from './content-reader.js';
import { type FeatureFindings, FeatureInspection } from './feature-inspection.js';
import { ProcessingConfig } from './processing.config.js';
import { rejected, verifyType } from './verify.js';

/** Results of inspecting a file that passed all checks. */
export interface CheckedFile extends FeatureFindings {
  readonly mimeType: string;
  readonly properties: AssetProperties;
  /** Renditions that are not stored yet. */
  readonly renditions: readonly Rendition[];
  /** Whether variants were created or attempted, so that they are rebuilt when the profiles change. */
  readonly getsVariants: boolean;
  /** Why a picture has no variants; null when it has them, without configured profiles, and for other files. */
  readonly variantsReason: VariantsReason | null;
}

/** Checks that need the whole file: type, structure, and those of features. Reads properties and makes renditions. */
@Injectable()
export class InspectionChecks {
  constructor(
    private readonly assets: AssetsConfig,
    private readonly variants: ContentStoreConfig,
    private readonly config: ProcessingConfig,
    private readonly inspector: ContentInspector,
    private readonly contents: ContentStore,
    private readonly features: FeatureInspection,
  ) {}

  /**
   * Inspects a file that was read and scanned.
   * @throws StowageError rejected, with the code of a status reason; unavailable. InspectionFailed may be transient
   */
  async check(asset: Asset, read: ReadResult, signal: AbortSignal): Promise<CheckedFile> {
    const scope = this.contents.scopeOf(asset.ownerId);
    const existing = await this.contents.variantsOf(read.digest.sha256, scope, signal);
    const found = await this.readProperties(asset, read, existing, scope, signal);
    const mimeType = verifyType(asset, found.detected, this.assets.allowedTypes);
    if (found.refusal !== null) throw rejected(found.refusal.code, found.refusal.message);
    this.verifyScannable(mimeType, read, found);
    const { sizeBytes } = asset;
    const file = { path: read.path, sizeBytes, mediaType: mimeType, detected: found.detected };
    const features = await this.features.inspect(file, { scope, sha256: read.digest.sha256 }, signal);
    const { profiles } = this.variants;
    const hasVariants =
      found.renditions.length > 0 || profiles.some((profile) => existing.has(specOf(profile)));
    const isWanted = profiles.length > 0 && kindOfMediaType(mimeType) === 'IMAGE';
    const variantsReason = hasVariants || !isWanted ? null : reasonOf(found, read);
    const getsVariants = hasVariants || (isWanted && found.variantsReason !== null);
    const { properties, renditions } = found;
    return { mimeType, properties, renditions, getsVariants, variantsReason, ...features };
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
    const longestSide = Math.max(
      0,
      ...this.variants.profiles.flatMap(({ width, height }) => [width, height]),
    );
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
