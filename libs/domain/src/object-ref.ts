/** Bucket and key of an object. */
export interface ObjectRef {
  readonly bucket: string;
  readonly key: string;
}

/** One immutable version of an object: a GCS generation, an S3 or Azure version, as text. */
export interface ObjectVersion extends ObjectRef {
  readonly version: string;
}

const ASSET_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether the text has the form of an asset id (a lower-case UUID). */
export const isAssetId = (text: string) => ASSET_ID.test(text);

/** Creation time of an id that Stowage generated (a version 7 UUID), in milliseconds since 1970; null for other ids. */
export const assetIdCreatedAt = (assetId: string): number | null =>
  assetId[14] === '7' ? Number.parseInt(assetId.slice(0, 8) + assetId.slice(9, 13), 16) : null;

/** Key of an asset's object in the incoming bucket: its id. Keys never contain a client's text. */
export const incomingKey = (assetId: string) => assetId;

/** Asset id of a key in the incoming bucket; null for a key that Stowage did not create. */
export const assetIdOfIncomingKey = (key: string) => (isAssetId(key) ? key : null);

/**
 * Key of a stored object in the content bucket, named by its hash. `scope` is empty if all owners share identical
 * files.
 */
export const contentKey = (sha256: string, scope = '') =>
  scope === '' ? `content/${sha256}` : `content/${scope}/${sha256}`;

/** Key of a variant in the content bucket. A variant belongs to the stored object; `spec` identifies its parameters. */
export const variantKey = (sha256: string, spec: string, scope = '') =>
  scope === '' ? `variant/${sha256}/${spec}` : `variant/${scope}/${sha256}/${spec}`;

/** Key of infected bytes in the quarantine bucket: one object for identical bytes of all owners. */
export const quarantineKey = (sha256: string) => `quarantine/${sha256}`;

/** Key of a stored object's damaged bytes, kept for an operator. Named by the expected hash. */
export const corruptKey = (sha256: string) => `corrupt/${sha256}`;
