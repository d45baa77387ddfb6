import {
  createHash,
  createHmac,
  createPublicKey,
  createSecretKey,
  timingSafeEqual,
  verify,
  type KeyObject,
} from 'node:crypto';
import { decodePath } from '../http/router.js';
import { ApiError } from '../http/errors.js';

/** An HMAC key of a service account, as issued by GCS. The secret is used as text, not decoded. */
export interface HmacKey {
  accessId: string;
  secret: string;
}

/** The public half of a service account's RSA key. */
export interface RsaKey {
  clientEmail: string;
  publicKeyPem: string;
}

/** A request as it arrived: path and query still encoded, header names in lower case. */
export interface SignedRequest {
  method: string;
  rawPath: string;
  rawQuery: string;
  headers: readonly (readonly [name: string, value: string])[];
}

/** The parts of a request that its valid signature covers. */
export interface VerifiedRequest {
  /** All query parameters, decoded; the signature covers every one. */
  query: ReadonlyMap<string, string>;
  /** Hex SHA-256 that the body must have; undefined when the signature does not cover the payload. */
  payloadSha256: string | undefined;
}

interface Credential {
  accessId: string;
  scope: string;
  date: string;
  location: string;
}

interface Authorization {
  algorithm: string;
  credential: Credential;
  date: string;
  expires: number;
  signedHeaders: string[];
  signature: string;
}

const MAX_EXPIRES_SECONDS = 7 * 24 * 60 * 60;
const MAX_SKEW_MS = 15 * 60 * 1000;

const malformed = (parameter: string, details: string) =>
  new ApiError('malformedSecurityHeader', { elements: { ParameterName: parameter }, details });

/** Percent-encodes by RFC 3986. encodeURIComponent leaves five characters that RFC 3986 reserves. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function parseQuery(rawQuery: string): [string, string][] {
  if (rawQuery === '') return [];
  return rawQuery.split('&').map((pair) => {
    const mark = pair.indexOf('=');
    const [name, value] = mark < 0 ? [pair, ''] : [pair.slice(0, mark), pair.slice(mark + 1)];
    return [decodePath(name), decodePath(value)];
  });
}

/** Reads the only parameter of that name, in any letter case. */
function parameter(query: readonly [string, string][], name: string): string {
  const values = query.filter(([key]) => key.toLowerCase() === name.toLowerCase());
  const [first] = values;
  if (first === undefined) throw malformed(name, `${name} is missing.`);
  if (values.length > 1)
    throw new ApiError('signatureMismatch', { details: `${name} is given more than once.` });
  return first[1];
}

function parseCredential(text: string, day: string): Credential {
  const [accessId, date, location, service, request, ...rest] = text.split('/');
  const complete = accessId && date && location && service === 'storage' && request === 'goog4_request';
  if (!complete || rest.length > 0) throw malformed('credential', 'The credential scope is not well-formed.');
  if (date !== day)
    throw malformed('credential', 'The date of the credential scope is not that of X-Goog-Date.');
  return { accessId, scope: `${date}/${location}/storage/goog4_request`, date, location };
}

function parseAuthorization(query: readonly [string, string][]): Authorization {
  const date = parameter(query, 'X-Goog-Date');
  const expiresText = parameter(query, 'X-Goog-Expires');
  const expires = /^\d{1,9}$/.test(expiresText) ? Number(expiresText) : 0;
  if (expires < 1 || expires > MAX_EXPIRES_SECONDS) {
    throw malformed('X-Goog-Expires', `X-Goog-Expires must be between 1 and ${MAX_EXPIRES_SECONDS} seconds.`);
  }
  const signedHeaders = parameter(query, 'X-Goog-SignedHeaders').split(';');
  const ordered = [...new Set(signedHeaders)].map((name) => name.toLowerCase()).sort();
  if (!signedHeaders.includes('host') || ordered.join(';') !== signedHeaders.join(';')) {
    throw malformed(
      'X-Goog-SignedHeaders',
      'Signed headers must be sorted, in lower case, and include host.',
    );
  }
  return {
    algorithm: parameter(query, 'X-Goog-Algorithm'),
    credential: parseCredential(parameter(query, 'X-Goog-Credential'), date.slice(0, 8)),
    date,
    expires,
    signedHeaders,
    signature: parameter(query, 'X-Goog-Signature'),
  };
}

function checkTime({ date, expires }: Authorization, now: Date): void {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date) ?? [];
  const start = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (Number.isNaN(start)) throw malformed('X-Goog-Date', 'X-Goog-Date is not of the form YYYYMMDDTHHMMSSZ.');
  if (now.getTime() < start - MAX_SKEW_MS) {
    throw new ApiError('accessDenied', { details: `The request is not valid before ${date}.` });
  }
  const end = start + expires * 1000;
  if (now.getTime() > end) {
    const instant = new Date(end).toISOString();
    throw new ApiError('expiredToken', {
      details: `The provided token has expired. Request signature expired at: ${instant}`,
    });
  }
}

/** The signed `host` never includes a port. */
const withoutPort = (host: string): string => host.replace(/:\d+$/, '');

function collectHeaders(pairs: SignedRequest['headers']): Map<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of pairs) {
    const clean = (name === 'host' ? withoutPort(value) : value).trim().replace(/[ \t]+/g, ' ');
    const before = headers.get(name);
    headers.set(name, before === undefined ? clean : `${before},${clean}`);
  }
  return headers;
}

/**
 * Checks that every signed header was sent and that every extension header sent is signed. The service has required the
 * latter of all `x-goog-*` and `x-amz-*` since 2020 (https://github.com/googleapis/google-cloud-dotnet/issues/5361).
 * Otherwise the holder of a URL could set metadata or an ACL that its signer did not allow.
 */
function checkHeaders(headers: ReadonlyMap<string, string>, signedHeaders: readonly string[]): void {
  for (const name of signedHeaders) {
    if (!headers.has(name)) {
      throw malformed(name, 'Header was included in signedheaders, but not in the request.');
    }
  }
  for (const name of headers.keys()) {
    if (name.startsWith('x-amz-')) throw new ApiError('excessHeaders', { elements: { HeaderName: name } });
    if (name.startsWith('x-goog-') && !signedHeaders.includes(name)) {
      throw new ApiError('signatureMismatch', {
        details: `Header ${name} was in the request, but not included in signedheaders.`,
      });
    }
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b));

function canonicalRequest(
  request: SignedRequest,
  query: readonly [string, string][],
  headers: ReadonlyMap<string, string>,
  signedHeaders: readonly string[],
): string {
  const parameters = query
    .filter(([name]) => name.toLowerCase() !== 'x-goog-signature')
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map((pair) => pair.join('='));
  return [
    request.method,
    encode(decodePath(request.rawPath)).replaceAll('%2F', '/'),
    parameters.join('&'),
    ...signedHeaders.map((name) => `${name}:${headers.get(name)}`),
    '',
    signedHeaders.join(';'),
    headers.get('x-goog-content-sha256') ?? 'UNSIGNED-PAYLOAD',
  ].join('\n');
}

const hmac = (key: string | Buffer | KeyObject, data: string) =>
  createHmac('sha256', key).update(data).digest();

/**
 * Verifies V4-signed URLs in full: https://docs.cloud.google.com/storage/docs/authentication/signatures. It shares no code with
 * any signer, so that each of the two tests the other.
 */
export class V4Verifier {
  private readonly hmacSecrets: Map<string, string>;
  private readonly rsaKeys: Map<string, KeyObject>;
  /** The last derived key: all requests of one access id, day and location share it. */
  private derived: { readonly credential: string; readonly key: KeyObject } | undefined;

  constructor(hmacKeys: readonly HmacKey[], rsaKeys: readonly RsaKey[]) {
    this.hmacSecrets = new Map(hmacKeys.map(({ accessId, secret }) => [accessId, secret]));
    this.rsaKeys = new Map(
      rsaKeys.map(({ clientEmail, publicKeyPem }) => [clientEmail, createPublicKey(publicKeyPem)]),
    );
  }

  /**
   * Returns the signed parts of the request. A URL signed for GET is also valid for HEAD, but not vice versa (Remarks in
   * https://docs.cloud.google.com/dotnet/docs/reference/Google.Cloud.Storage.V1/latest/Google.Cloud.Storage.V1.UrlSigner.RequestTemplate).
   * @throws {ApiError} the error that the real service returns
   */
  verify(request: SignedRequest, now: Date): VerifiedRequest {
    const query = parseQuery(request.rawQuery);
    if (!query.some(([name]) => name.toLowerCase() === 'x-goog-signature')) {
      throw new ApiError('accessDenied', {
        details: 'Anonymous caller does not have access to this resource.',
      });
    }
    const authorization = parseAuthorization(query);
    checkTime(authorization, now);
    const headers = collectHeaders(request.headers);
    checkHeaders(headers, authorization.signedHeaders);

    const signedAs = (method: string) => {
      const canonical = canonicalRequest({ ...request, method }, query, headers, authorization.signedHeaders);
      const { algorithm, date, credential } = authorization;
      const digest = createHash('sha256').update(canonical).digest('hex');
      const stringToSign = [algorithm, date, credential.scope, digest].join('\n');
      return { canonical, stringToSign, isValid: this.matches(authorization, stringToSign) };
    };
    const own = signedAs(request.method);
    if (!own.isValid && !(request.method === 'HEAD' && signedAs('GET').isValid)) {
      throw new ApiError('signatureMismatch', {
        details:
          'The request signature we calculated does not match the signature you provided. ' +
          'Check your Google secret key and signing method.',
        elements: { StringToSign: own.stringToSign, CanonicalRequest: own.canonical },
      });
    }
    const payload = headers.get('x-goog-content-sha256');
    return { query: new Map(query), payloadSha256: payload === 'UNSIGNED-PAYLOAD' ? undefined : payload };
  }

  private matches({ algorithm, credential, signature }: Authorization, stringToSign: string): boolean {
    if (!/^([0-9a-f]{2})+$/i.test(signature)) throw malformed('signature', 'Signature was not hex encoded');
    const given = Buffer.from(signature, 'hex');
    if (algorithm === 'GOOG4-RSA-SHA256') {
      const key = this.rsaKeys.get(credential.accessId);
      if (key === undefined) throw new ApiError('invalidSecurity');
      return verify('RSA-SHA256', Buffer.from(stringToSign), key, given);
    }
    if (algorithm === 'GOOG4-HMAC-SHA256') {
      const secret = this.hmacSecrets.get(credential.accessId);
      if (secret === undefined) throw new ApiError('invalidSecurity');
      const expected = hmac(this.keyOf(credential, secret), stringToSign);
      return given.length === expected.length && timingSafeEqual(given, expected);
    }
    throw malformed('X-Goog-Algorithm', 'The signing algorithm is not supported.');
  }

  private keyOf({ accessId, date, location }: Authorization['credential'], secret: string): KeyObject {
    const credential = [accessId, date, location].join('/');
    if (this.derived?.credential !== credential) {
      const scope = [date, location, 'storage', 'goog4_request'];
      const key = scope.reduce<string | Buffer>((k, part) => hmac(k, part), `GOOG4${secret}`);
      this.derived = { credential, key: createSecretKey(Buffer.from(key)) };
    }
    return this.derived.key;
  }
}
