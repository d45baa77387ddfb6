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

/** Bytes that a key of the content bucket names. */
export interface ContentRef {
  readonly sha256: string;
  readonly scope: string;
}

/** A scope is empty or the id of an owner. */
const SCOPE = '(?:(0|[1-9][0-9]{0,18})/)?';
const SHA256 = '([0-9a-f]{64})';
/** Every specification that a release has written; see `specOf`. */
const SPEC = '((?:webp|jpeg|avif)-[0-9]{1,5}(?:x[0-9]{1,5}-(?:inside|cover))?-q[0-9]{1,3}-r[0-9]{1,4})';
const CONTENT_KEY = new RegExp(`^content/${SCOPE}${SHA256}$`);
const VARIANT_KEY = new RegExp(`^variant/${SCOPE}${SHA256}/${SPEC}$`);

/** Inverse of {@link contentKey}; null for a key that Stowage did not create. */
export function parseContentKey(key: string): ContentRef | null {
  const [, scope = '', sha256] = CONTENT_KEY.exec(key) ?? [];
  return sha256 === undefined ? null : { sha256, scope };
}

/** Inverse of {@link variantKey}; null for a key that Stowage did not create. */
export function parseVariantKey(key: string): (ContentRef & { readonly spec: string }) | null {
  const [, scope = '', sha256, spec] = VARIANT_KEY.exec(key) ?? [];
  return sha256 === undefined || spec === undefined ? null : { sha256, scope, spec };
}

/** Key of the object by which the content bucket names the installation that owns it. */
export const INSTALLATION_KEY = 'stowage-installation';

/** Key of infected bytes in the quarantine bucket: one object for identical bytes of all owners. */
export const quarantineKey = (sha256: string) => `quarantine/${sha256}`;

/** Key of a stored object's damaged bytes, kept for an operator. Named by the expected hash. */
export const corruptKey = (sha256: string) => `corrupt/${sha256}`;
