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

/** Google's published vectors (googleapis/conformance-tests); they live beside the checkout, not in it. */
const folder =
  process.env['V4_VECTORS_DIR'] ?? path.resolve(import.meta.dirname, '../../../../../shared/vectors');
const file = path.join(folder, 'v4-signing.json');
const present = fs.existsSync(file);
const { signingV4Tests: vectors } = present
  ? (JSON.parse(fs.readFileSync(file, 'utf8')) as { signingV4Tests: PublishedVector[] })
  : { signingV4Tests: [] };
if (!present)
  process.stderr.write('SKIPPED: the published V4 signing vectors; set V4_VECTORS_DIR to their folder\n');

/** Where each style of URL begins, as the vectors' harness resolves it: scheme and host, then the path. */
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
  it('are all here', () => expect(vectors).toHaveLength(29));

  it.each(vectors.map((vector) => [vector.description, vector] as const))('%s', (_, vector) => {
    const place = locate(vector);
    const host = new URL(place.base).hostname;
    const unsigned = prepareV4(
      {
        method: vector.method,
        path: place.path,
        headers: [...Object.entries(vector.headers ?? {}), ['host', host]],
        query: Object.entries(vector.queryParameters ?? {}),
        signedAt: new Date(vector.timestamp),
        expiresInSeconds: vector.expiration,
      },
      GOOGLE,
    );
    expect(unsigned.stringToSign).toBe(vector.expectedStringToSign);
    expect(`${place.base}${place.path}?${unsigned.query}`).toBe(
      vector.expectedUrl.split('&X-Goog-Signature=')[0],
    );
  });
});

describe('encoding', () => {
  it.each([
    ["a!b'c(d)e*f", 'a%21b%27c%28d%29e%2Af'],
    ['a/b c+d~e_f-g.h', 'a%2Fb%20c%2Bd~e_f-g.h'],
    ['größe 😀', 'gr%C3%B6%C3%9Fe%20%F0%9F%98%80'],
    ['', ''],
  ])('of the parameter %j', (text, encoded) => {
    expect(encodeParameter(text)).toBe(encoded);
    expect(encodePath(text)).toBe(encoded.replaceAll('%2F', '/'));
  });
});

describe('the query', () => {
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
  // By code point of the encoded names: https://docs.cloud.google.com/storage/docs/authentication/canonical-requests#about-query
  const SORTED = [
    ...['%C3%A4', '1', 'A', ...PROTOCOL.map((name) => `X-Goog-${name}`), 'Y', 'generation'],
    ...['response-content-disposition', 'response-content-type', 'x-lower'],
  ];

  it('is sorted by name, whatever order its parameters are given in', () => {
    const prepared = prepare(PARAMETERS);
    expect(prepared.query.split('&').map((pair) => pair.split('=')[0])).toEqual(SORTED);
    expect(prepare(PARAMETERS.toReversed())).toEqual(prepared);
    expect(prepare(PARAMETERS.toSorted())).toEqual(prepared);
  });

  it('is signed as it stands in the URL', () => {
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

  it.each(['image/png\nx-goog-acl:public-read', 'image/png\r\nx:y', 'a\0b', 'a\x7fb', '\n'])(
    'cannot bring another along: %j',
    (value) => expect(() => prepare(value)).toThrow(TypeError),
  );

  it.each([' a', 'a ', '\ta', 'a\t\t'])('is trimmed: %j', (value) =>
    expect(prepare(value).stringToSign).toBe(prepare('a').stringToSign),
  );

  it('has runs of spaces collapsed', () =>
    expect(prepare('a  \t b').stringToSign).toBe(prepare('a b').stringToSign));
});

it('refuses a date that is none', () => {
  const request = { method: 'GET', path: '/b/o', headers: [], signedAt: new Date(NaN), expiresInSeconds: 1 };
  expect(() => prepareV4(request, GOOGLE)).toThrow(RangeError);
});
