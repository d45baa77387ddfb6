import type { ObjectRef } from '#libs/domain';

export interface UploadGrant extends ObjectRef {
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Base64 CRC32C; when given, storage refuses other bytes by itself. */
  readonly crc32c?: string;
}

export interface DownloadGrant extends ObjectRef {
  readonly contentType: string;
  /** Whole value of Content-Disposition that the reader's browser gets. */
  readonly contentDisposition: string;
}

/** One request that a client may make to storage: exactly these headers, until the expiry. */
export interface SignedRequest {
  readonly httpMethod: 'PUT' | 'GET';
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly expiresAt: Date;
}

export interface Validity {
  readonly now: Date;
  /** 1 to 604,800 (7 days: the protocol's limit). */
  readonly expiresInSeconds: number;
}

/**
 * Lets a client talk to storage without credentials. A signed URL is a secret: it is never logged. Type, size and
 * single use are inside an upload's signature, type and disposition inside a download's.
 */
export abstract class UrlSigner {
  /** One PUT of the whole body. It succeeds once: only while the object is absent, only with this size and type. */
  abstract signUpload(grant: UploadGrant, validity: Validity): Promise<SignedRequest>;

  /**
   * One GET, or a HEAD that answers the same without the bytes, as often as wanted until the expiry. No parameter of the URL has a
   * space in it, nor a plus sign but those of `contentType`: clients may take it apart and put it together again.
   */
  abstract signDownload(grant: DownloadGrant, validity: Validity): Promise<SignedRequest>;
}
