import { describe, expect, it } from '@jest/globals';
import { Environment, proxyOf, readEnvironment } from './environment.js';

const REQUIRED = {
  DATABASE_URL: 'postgresql://127.0.0.1/stowage',
  GOOGLE_CLOUD_PROJECT: 'project',
  INCOMING_BUCKET: 'incoming',
  CONTENT_BUCKET: 'content',
  UPLOAD_SESSION_KEYS: '0f'.repeat(32),
};
const read = (given: NodeJS.ProcessEnv) => readEnvironment(Environment, { ...REQUIRED, ...given });

it('applies defaults to missing and empty variables', () => {
  expect(read({ DATABASE_POOL: '', LOG_LEVEL: '' })).toMatchObject({
    ...REQUIRED,
    UPLOAD_SESSION_KEYS: ['0f'.repeat(32)],
    DATABASE_POOL: 10,
    LOG_LEVEL: 'info',
    QUOTA_BYTES: 10 * 2 ** 30,
    ALLOWED_TYPES: [],
  });
});

it('parses numbers, sizes and lists with spaces and units', () => {
  expect(
    read({ DATABASE_POOL: ' 7 ', QUOTA_BYTES: '5 GiB', ALLOWED_TYPES: 'image/PNG, audio/*' }),
  ).toMatchObject({ DATABASE_POOL: 7, QUOTA_BYTES: 5 * 2 ** 30, ALLOWED_TYPES: ['image/png', 'audio/*'] });
});

it('parses several keys and requires at least one', () => {
  const [first, second] = ['0A', '1b'].map((byte) => byte.repeat(32));
  const keys = read({ UPLOAD_SESSION_KEYS: `${first}, ${second}` }).UPLOAD_SESSION_KEYS;
  expect(keys).toEqual([first!.toLowerCase(), second]);
  expect(() => read({ UPLOAD_SESSION_KEYS: '' })).toThrow('UPLOAD_SESSION_KEYS must be set');
});

it.each([
  ['DATABASE_URL', 'mysql://secret'],
  ['DATABASE_POOL', '0'],
  ['DATABASE_POOL', '1e3'],
  ['REDIS_URL', 'secret'],
  ['GCS_API_ENDPOINT', 'secret'],
  ['HTTP_PROXY', 'secret:3128'],
  ['https_proxy', 'socks5://secret'],
  ['INCOMING_BUCKET', 'ab'],
  ['UPLOAD_SESSION_KEYS', 'secret'],
  ['UPLOAD_SESSION_KEYS', `${'0f'.repeat(32)},secret`],
  ['DEDUPE_SCOPE', 'secret'],
  ['ALLOWED_TYPES', 'secret'],
  ['QUOTA_BYTES', '5 GB of secret'],
  ['QUOTA_ASSETS', '-1'],
  ['LOG_LEVEL', 'secret'],
])('reports an invalid %s without its value', (name, value) => {
  const readInvalid = () => read({ [name]: value });
  expect(readInvalid).toThrow(new RegExp(`^Configuration: [^;]*${name}[^;]*\\.$`));
  expect(readInvalid).not.toThrow(value);
});

it.each([
  'jpeg',
  'image/png, .jpg',
  '*',
  '*/*',
  'image/',
  'image/*png',
  '/png',
  'text/plain;charset=utf-8',
  'a/b/c',
])('rejects %s as a list of types', (types) => {
  expect(() => read({ ALLOWED_TYPES: types })).toThrow('ALLOWED_TYPES must be types and families such as');
});

it('reports all invalid variables at once', () => {
  expect(() => read({ DATABASE_POOL: 'x', LOG_LEVEL: 'x' })).toThrow(/DATABASE_POOL.*; .*LOG_LEVEL/);
});

describe('proxyOf', () => {
  const [A, B] = ['http://a:1', 'http://b:2'];

  it.each([
    [{}, undefined],
    [{ NO_PROXY: 'c' }, undefined],
    [{ HTTPS_PROXY: A, HTTP_PROXY: B }, { url: B }],
    [{ https_proxy: A, HTTPS_PROXY: B }, { url: B }],
    [{ https_proxy: A, http_proxy: '' }, { url: A }],
    [
      { http_proxy: A, no_proxy: 'c', NO_PROXY: 'd' },
      { url: A, except: 'd' },
    ],
  ])('maps %j to %j', (given, expected) => {
    expect(proxyOf(read(given))).toEqual(expected);
  });
});
