import type { ObjectRef } from '#libs/domain';

export interface UploadGrant extends ObjectRef {
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Base64 CRC32C; if given, storage rejects bytes with another checksum. */
  readonly crc32c?: string;
}

export interface DownloadGrant extends ObjectRef {
  readonly contentType: string;
  /** Complete value of the Content-Disposition header of the response. */
  readonly contentDisposition: string;
}

/** One request that a client may send to storage until the expiry, with exactly these headers. */
export interface SignedRequest {
  readonly httpMethod: 'PUT' | 'GET';
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly expiresAt: Date;
}

/** Period of validity of a signed URL. */
export interface Validity {
  readonly now: Date;
  /** In seconds, 1 to 604,800 (seven days, the protocol's limit). */
  readonly expiresInSeconds: number;
}

/**
 * Port that signs URLs, which let a client access storage without credentials. A signed URL is a secret: never log it.
 * An upload's signature covers type, size and single use, a download's covers type and disposition.
 */
export abstract class UrlSigner {
  /**
   * Allows one PUT of the whole body. It succeeds only while the object is absent, and only with this size and type.
   */
  abstract signUpload(grant: UploadGrant, validity: Validity): Promise<SignedRequest>;

  /**
   * Allows a GET, or a HEAD with the headers of the GET, any number of times until the expiry. No URL parameter
   * contains a space, and only `contentType` may contain a plus sign, so a client that parses and rebuilds the URL
   * keeps it valid.
   */
  abstract signDownload(grant: DownloadGrant, validity: Validity): Promise<SignedRequest>;
}
