/** A place in object storage. */
export interface ObjectRef {
  readonly bucket: string;
  readonly key: string;
}

/** One immutable state of an object: a GCS generation, an S3 or Azure version, as text. */
export interface ObjectVersion extends ObjectRef {
  readonly version: string;
}

const ASSET_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Whether the text has the form of an asset id (a lower-case UUID). */
export const isAssetId = (text: string) => ASSET_ID.test(text);

/** When an id of Stowage's own making (a version 7 UUID) was made, in milliseconds since 1970; null for any other. */
export const assetIdMadeAt = (assetId: string): number | null =>
  assetId[14] === '7' ? Number.parseInt(assetId.slice(0, 8) + assetId.slice(9, 13), 16) : null;

/** Keys of the incoming bucket are asset ids; no text of a client is ever part of a key. */
export const incomingKey = (assetId: string) => assetId;

/** The asset that a key of the incoming bucket belongs to, or null for a key that Stowage never handed out. */
export const assetIdOfIncomingKey = (key: string) => (isAssetId(key) ? key : null);

/** Keys of the content bucket are named by their bytes. `scope` is empty when identical files are shared by all. */
export const contentKey = (sha256: string, scope = '') =>
  scope === '' ? `content/${sha256}` : `content/${scope}/${sha256}`;

/** A variant belongs to the stored object and says by its key what it is. */
export const variantKey = (sha256: string, spec: string, scope = '') =>
  scope === '' ? `variant/${sha256}/${spec}` : `variant/${scope}/${sha256}/${spec}`;

/** Infected bytes are kept once, whoever sent them. */
export const quarantineKey = (sha256: string) => `quarantine/${sha256}`;

/** Damaged bytes of a stored object, kept for an operator, named by what they should have been. */
export const corruptKey = (sha256: string) => `corrupt/${sha256}`;
