import { UrlSigner } from '../url-signer.js';
import type { DownloadGrant, SignedRequest, UploadGrant, Validity } from '../url-signer.js';
import { hmacKey, rsaKey } from './signing-key.js';
import type { SigningKey } from './signing-key.js';
import { encodePath, prepareV4 } from './v4.js';

/** Endpoint and key of a {@link GcsUrlSigner}. */
export interface GcsUrlSignerOptions {
  /** Endpoint at which clients reach storage; default `https://storage.googleapis.com`. */
  readonly endpoint?: string;
  /** An HMAC key (about eighty times cheaper than RSA), or a service account's RSA key. */
  readonly key:
    | { readonly accessId: string; readonly secret: string }
    | { readonly clientEmail: string; readonly privateKeyPem: string };
}

const MAX_SECONDS = 604_800;
type Header = readonly [name: string, value: string];

/**
 * V4 signed URLs of Google Cloud Storage, path style on the endpoint. Signing makes no network request.
 *
 * An upload URL is valid from `now` until its expiry, and the PUT must *begin* in that time: storage checks the clock
 * once, so a slow body may end long after. The PUT succeeds once (`x-goog-if-generation-match: 0` is signed; a second
 * PUT gets 412), with exactly this many bytes (`x-goog-content-length-range`) of this type and, if `crc32c` is given,
 * with exactly these bytes. The client must send the listed headers unchanged; HTTP clients add `host` and
 * `content-length` themselves.
 * @throws RangeError for an expiry outside 1 to 604,800 whole seconds; TypeError for a control character in a header
 * @see https://docs.cloud.google.com/storage/docs/access-control/signed-urls
 */
export class GcsUrlSigner extends UrlSigner {
  private readonly endpoint: string;
  /** Host name without the port: Google's own clients sign the name alone. */
  private readonly host: Header;
  private readonly key: SigningKey;

  constructor({ endpoint = 'https://storage.googleapis.com', key }: GcsUrlSignerOptions) {
    super();
    this.endpoint = endpoint.replace(/\/+$/, '');
    this.host = ['host', new URL(this.endpoint).hostname];
    this.key = 'secret' in key ? hmacKey(key) : rsaKey(key);
  }

  override signUpload(grant: UploadGrant, validity: Validity): Promise<SignedRequest> {
    const headers: Header[] = [
      ['content-type', grant.contentType],
      ['x-goog-content-length-range', `${grant.sizeBytes},${grant.sizeBytes}`],
      ['x-goog-if-generation-match', '0'],
    ];
    if (grant.crc32c !== undefined) headers.push(['x-goog-hash', `crc32c=${grant.crc32c}`]);
    return this.sign('PUT', grant, headers, undefined, validity);
  }

  override signDownload(grant: DownloadGrant, validity: Validity): Promise<SignedRequest> {
    const query: Header[] = [
      ['response-content-disposition', grant.contentDisposition],
      ['response-content-type', grant.contentType],
    ];
    return this.sign('GET', grant, [], query, validity);
  }

  private async sign(
    httpMethod: 'PUT' | 'GET',
    { bucket, key }: { bucket: string; key: string },
    headers: readonly Header[],
    query: readonly Header[] | undefined,
    { now, expiresInSeconds }: Validity,
  ): Promise<SignedRequest> {
    if (!(Number.isInteger(expiresInSeconds) && expiresInSeconds >= 1 && expiresInSeconds <= MAX_SECONDS)) {
      throw new RangeError(`expiresInSeconds must be a whole number from 1 to ${MAX_SECONDS}`);
    }
    const path = `/${bucket}/${encodePath(key)}`;
    const unsigned = prepareV4(
      { method: httpMethod, path, headers: [...headers, this.host], query, signedAt: now, expiresInSeconds },
      this.key,
    );
    const signature = await this.key.sign(unsigned.stringToSign, unsigned.day);
    return {
      httpMethod,
      url: `${this.endpoint}${path}?${unsigned.query}&X-Goog-Signature=${signature}`,
      headers: headers.map(([name, value]) => ({ name, value })),
      // The date in the signature has whole seconds.
      expiresAt: new Date((Math.floor(now.getTime() / 1000) + expiresInSeconds) * 1000),
    };
  }
}
