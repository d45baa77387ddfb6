import {
  type AssetProperties,
  asIfUtc,
  type AssetStatus,
  type FeatureProperties,
  type ObjectRef,
} from '#libs/domain';

/** A smaller rendition of an asset's bytes, and its location. */
export interface Variant extends ObjectRef {
  /** Name of the profile. */
  readonly name: string;
  readonly mimeType: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
}

/** Results of processing the bytes of an asset. */
export interface AssetContents {
  /** Null when the bytes were not inspected. */
  readonly properties: AssetProperties | null;
  /**
   * Properties of a READY asset that the file readers of features found, by the id of the reader. Empty without any.
   * @example contents.featureProperties.gpx?.trackLengthMeters
   */
  readonly featureProperties: FeatureProperties;
  /** Variants of a READY asset, ordered by width and then name; the newer one of two with one name. */
  readonly variants: readonly Variant[];
  /** Why a READY picture has no variants; null when it has them, and for other files. */
  readonly variantsReason: string | null;
  /** Engine and signatures of the scanner that found the bytes clean. Null also for bytes that could not be scanned. */
  readonly scannedBy: string | null;
}

export const NO_CONTENTS: AssetContents = {
  properties: null,
  featureProperties: {},
  variants: [],
  variantsReason: null,
  scannedBy: null,
};

/** Statuses of assets that may have contents. A DELETED asset may have been READY, and can be restored. */
export const STATUSES_WITH_CONTENTS: readonly AssetStatus[] = ['READY', 'DELETED'];
export const mayHaveContents = ({ status }: { readonly status: AssetStatus }) =>
  STATUSES_WITH_CONTENTS.includes(status);

/** Properties as the columns of `asset_properties` store them. */
export const propertyColumns = (properties: Partial<AssetProperties> | null) => ({
  ...properties,
  takenAtLocal: properties?.takenAtLocal ? asIfUtc(properties.takenAtLocal) : null,
});
