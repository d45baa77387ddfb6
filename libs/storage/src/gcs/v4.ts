import { hash } from 'node:crypto';
import type { SigningKey } from './signing-key.js';

/** The request to sign. Header names in any case and order, `host` included. */
export interface V4Request {
  readonly method: string;
  /** Absolute path, already encoded (see {@link encodePath}). */
  readonly path: string;
  readonly headers: Iterable<readonly [name: string, value: string]>;
  /** Query parameters other than the protocol's own, not yet encoded. */
  readonly query?: Iterable<readonly [name: string, value: string]>;
  readonly signedAt: Date;
  readonly expiresInSeconds: number;
}

export interface V4Unsigned {
  /** The day of the credential scope, `YYYYMMDD`. */
  readonly day: string;
  readonly stringToSign: string;
  /** The whole query string except the signature. */
  readonly query: string;
}

type Pair = readonly [name: string, value: string];
const byName = (a: Pair, b: Pair) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0);

/** RFC 3986 unreserved characters. */
const PLAIN_PARAMETER = /^[A-Za-z0-9\-._~]*$/;
const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;

const percent = (char: string) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
const encodeStrictly = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, percent);

/** Percent-encodes all but the unreserved characters. */
export const encodeParameter = (text: string) => (PLAIN_PARAMETER.test(text) ? text : encodeStrictly(text));

/** Memoizes the last call of {@link encodeParameter}: consecutive URLs mostly share credential and header names. */
function memoizedEncoder(): typeof encodeParameter {
  let last = { text: '', encoded: '' };
  return (text) => {
    if (text !== last.text) last = { text, encoded: encodeParameter(text) };
    return last.encoded;
  };
}
const encodeCredential = memoizedEncoder();
const encodeNames = memoizedEncoder();

/** Percent-encodes all but the unreserved characters and the slash. */
export const encodePath = (text: string) =>
  PLAIN_PATH.test(text) ? text : encodeStrictly(text).replaceAll('%2F', '/');

/**
 * Trims the value and collapses white space.
 * @throws TypeError for a control character: a line break would inject a header
 */
function canonicalValue(value: string): string {
  let isCanonical = true;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x20 && code !== 0x7f) continue;
    if (code !== 0x20 && code !== 0x09) throw new TypeError('A signed header contains a control character');
    const next = value.charCodeAt(i + 1);
    if (i === 0 || i === value.length - 1 || next === 0x20 || next === 0x09) isCanonical = false;
  }
  return isCanonical ? value : value.trim().replace(/[ \t]{2,}/g, ' ');
}

function canonicalHeaders(headers: Iterable<Pair>): { lines: string; names: string; payload: string } {
  const sorted: Pair[] = [];
  for (const [name, value] of headers) sorted.push([name.toLowerCase(), canonicalValue(value)]);
  sorted.sort(byName);
  let lines = '';
  let names = '';
  let payload = 'UNSIGNED-PAYLOAD';
  for (const [name, value] of sorted) {
    lines += `${name}:${value}\n`;
    names += names === '' ? name : `;${name}`;
    if (name === 'x-goog-content-sha256') payload = value;
  }
  return { lines, names, payload };
}

let lastSecond = { second: NaN, text: '' };

/** Formats as `YYYYMMDDTHHMMSSZ`, memoized because consecutive URLs mostly share the second. */
function timestamp(at: Date): string {
  const second = Math.floor(at.getTime() / 1000);
  if (second !== lastSecond.second) {
    lastSecond = { second, text: at.toISOString().replace(/[-:]|\.\d+/g, '') };
  }
  return lastSecond.text;
}

/**
 * Builds the string to sign for Google Cloud Storage's V4 query string authentication, and the URL's query without the
 * signature.
 * @throws TypeError for a control character in a header; RangeError for an invalid date
 * @see https://docs.cloud.google.com/storage/docs/authentication/canonical-requests
 * @see https://docs.cloud.google.com/storage/docs/authentication/signatures
 */
export function prepareV4(request: V4Request, key: Pick<SigningKey, 'algorithm' | 'accessId'>): V4Unsigned {
  const signedAt = timestamp(request.signedAt);
  const day = signedAt.slice(0, 8);
  const scope = `${day}/auto/storage/goog4_request`;
  const headers = canonicalHeaders(request.headers);

  const own: Pair[] = [
    ['X-Goog-Algorithm', key.algorithm],
    ['X-Goog-Credential', encodeCredential(`${key.accessId}/${scope}`)],
    ['X-Goog-Date', signedAt],
    ['X-Goog-Expires', String(request.expiresInSeconds)],
    ['X-Goog-SignedHeaders', encodeNames(headers.names)],
  ];
  if (request.query !== undefined) {
    for (const [name, value] of request.query) own.push([encodeParameter(name), encodeParameter(value)]);
    own.sort(byName);
  }
  let query = '';
  for (const [name, value] of own) query += query === '' ? `${name}=${value}` : `&${name}=${value}`;

  const canonicalRequest = `${request.method}\n${request.path}\n${query}\n${headers.lines}\n${headers.names}\n${headers.payload}`;
  const stringToSign = `${key.algorithm}\n${signedAt}\n${scope}\n${hash('sha256', canonicalRequest)}`;
  return { day, stringToSign, query };
}
