import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { encodeParameter, encodePath, prepareV4 } from './v4.js';

interface PublishedVector {
  readonly description: string;
  readonly bucket: string;
  readonly object?: string;
  readonly method: string;
  readonly expiration: number;
  readonly timestamp: string;
  readonly scheme?: string;
  readonly headers?: Record<string, string>;
  readonly queryParameters?: Record<string, string>;
  readonly urlStyle?: string;
  readonly bucketBoundHostname?: string;
  readonly hostname?: string;
  readonly clientEndpoint?: string;
  readonly emulatorHostname?: string;
  readonly universeDomain?: string;
  readonly expectedUrl: string;
  readonly expectedStringToSign: string;
}

const GOOGLE = {
  algorithm: 'GOOG4-RSA-SHA256',
  accessId: 'test-iam-credentials@dummy-project-id.iam.gserviceaccount.com',
} as const;

/** Google's published vectors (googleapis/conformance-tests); the checkout does not contain them. */
const folder =
  process.env['V4_VECTORS_DIR'] ?? path.resolve(import.meta.dirname, '../../../../../shared/vectors');
const file = path.join(folder, 'v4-signing.json');
const present = fs.existsSync(file);
const { signingV4Tests: vectors } = present
  ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { signingV4Tests: PublishedVector[] })
  : { signingV4Tests: [] };
if (!present)
  process.stderr.write('SKIPPED: the published V4 signing vectors; set V4_VECTORS_DIR to their folder\n');

/** Resolves scheme and host, then path, of each URL style as the harness of the vectors does. */
function locate(vector: PublishedVector): { base: string; path: string } {
  const scheme = vector.scheme ?? 'https';
  const object = vector.object === undefined ? '' : `/${encodePath(vector.object)}`;
  const chosen =
    vector.hostname ??
    vector.clientEndpoint ??
    vector.emulatorHostname ??
    `storage.${vector.universeDomain ?? 'googleapis.com'}`;
  const base = chosen.includes('://') ? chosen : `${scheme}://${chosen}`;
  switch (vector.urlStyle) {
    case 'VIRTUAL_HOSTED_STYLE':
      return { base: base.replace('://', `://${vector.bucket}.`), path: object };
    case 'BUCKET_BOUND_HOSTNAME':
      return { base: `${scheme}://${vector.bucketBoundHostname}`, path: object };
    default:
      return { base, path: `/${vector.bucket}${object}` };
  }
}

const published = present || process.env['CI'] === 'true' ? describe : describe.skip;

published('the published V4 signing vectors', () => {
  it('contain all 29 cases', () => expect(vectors).toHaveLength(29));

  it.each(vectors.map((vector) => [vector.description, vector] as const))('%s', (_, vector) => {
    const location = locate(vector);
    const host = new URL(location.base).hostname;
    const unsigned = prepareV4(
      {
        method: vector.method,
        path: location.path,
        headers: [...Object.entries(vector.headers ?? {}), ['host', host]],
        query: Object.entries(vector.queryParameters ?? {}),
        signedAt: new Date(vector.timestamp),
        expiresInSeconds: vector.expiration,
      },
      GOOGLE,
    );
    expect(unsigned.stringToSign).toBe(vector.expectedStringToSign);
    expect(`${location.base}${location.path}?${unsigned.query}`).toBe(
      vector.expectedUrl.split('&X-Goog-Signature=')[0],
    );
  });
});

describe('encodeParameter and encodePath', () => {
  it.each([
    ["a!b'c(d)e*f", 'a%21b%27c%28d%29e%2Af'],
    ['a/b c+d~e_f-g.h', 'a%2Fb%20c%2Bd~e_f-g.h'],
    ['größe 😀', 'gr%C3%B6%C3%9Fe%20%F0%9F%98%80'],
    ['', ''],
  ])('encode %j', (text, encoded) => {
    expect(encodeParameter(text)).toBe(encoded);
    expect(encodePath(text)).toBe(encoded.replaceAll('%2F', '/'));
  });
});

describe('the query string', () => {
  const prepare = (query: Iterable<readonly [string, string]>) =>
    prepareV4(
      {
        method: 'GET',
        path: '/b/o',
        headers: [['host', 'storage.example']],
        query,
        signedAt: new Date('2026-01-01T00:00:00Z'),
        expiresInSeconds: 60,
      },
      GOOGLE,
    );
  const PARAMETERS: [string, string][] = [
    ['response-content-type', 'a/b'],
    ['response-content-disposition', 'c'],
    ['generation', '1'],
    ['Y', '2'],
    ['X-Goog-Custom', '3'],
    ['x-lower', '4'],
    ['A', '5'],
    ['1', '6'],
    ['ä', '7'],
  ];
  const PROTOCOL = ['Algorithm', 'Credential', 'Custom', 'Date', 'Expires', 'SignedHeaders'];
  // Sorted by code point of the encoded name:
  // https://docs.cloud.google.com/storage/docs/authentication/canonical-requests#about-query
  const SORTED = [
    ...['%C3%A4', '1', 'A', ...PROTOCOL.map((name) => `X-Goog-${name}`), 'Y', 'generation'],
    ...['response-content-disposition', 'response-content-type', 'x-lower'],
  ];

  it('is sorted by encoded name for any order of parameters', () => {
    const prepared = prepare(PARAMETERS);
    expect(prepared.query.split('&').map((pair) => pair.split('=')[0])).toEqual(SORTED);
    expect(prepare(PARAMETERS.toReversed())).toEqual(prepared);
    expect(prepare(PARAMETERS.toSorted())).toEqual(prepared);
  });

  it('is signed exactly as in the URL', () => {
    const { query, stringToSign } = prepare(PARAMETERS);
    const canonical = `GET\n/b/o\n${query}\nhost:storage.example\n\nhost\nUNSIGNED-PAYLOAD`;
    const digest = createHash('sha256').update(canonical).digest('hex');
    expect(stringToSign.split('\n').at(-1)).toBe(digest);
  });
});

describe('a signed header', () => {
  const prepare = (value: string) =>
    prepareV4(
      {
        method: 'PUT',
        path: '/b/o',
        headers: [['content-type', value]],
        signedAt: new Date('2026-01-01T00:00:00Z'),
        expiresInSeconds: 60,
      },
      GOOGLE,
    );

  it.each(['image/png\nx-goog-acl:public-read', 'image/png\r\nx:y', 'a\0b', 'a\x7fb', '\n', 'a  b\nc'])(
    'is rejected with a control character: %j',
    (value) => expect(() => prepare(value)).toThrow(TypeError),
  );

  it.each([' a', 'a ', '\ta', 'a\t\t'])('is trimmed: %j', (value) =>
    expect(prepare(value).stringToSign).toBe(prepare('a').stringToSign),
  );

  it('has runs of spaces collapsed', () =>
    expect(prepare('a  \t b').stringToSign).toBe(prepare('a b').stringToSign));
});

it('rejects an invalid date', () => {
  const request = { method: 'GET', path: '/b/o', headers: [], signedAt: new Date(NaN), expiresInSeconds: 1 };
  expect(() => prepareV4(request, GOOGLE)).toThrow(RangeError);
});
