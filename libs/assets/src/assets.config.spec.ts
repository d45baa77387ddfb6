import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { AssetsConfig } from './assets.config.js';

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration(
    { assets: AssetsConfig },
    { INCOMING_BUCKET: 'incoming', UPLOAD_SESSION_KEYS: '0f'.repeat(32), ...env },
  ).assets;

it('parses types and families, and allows all by default', () => {
  expect(read({ ALLOWED_TYPES: 'image/PNG, audio/*' }).allowedTypes).toEqual(['image/png', 'audio/*']);
  expect(read({}).allowedTypes).toEqual([]);
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

it('parses several keys and requires at least one', () => {
  const [first, second] = ['0A', '1b'].map((byte) => byte.repeat(32));
  expect(read({ UPLOAD_SESSION_KEYS: `${first}, ${second}` }).uploadSessionKeys).toEqual([
    first!.toLowerCase(),
    second,
  ]);
  expect(() => read({ UPLOAD_SESSION_KEYS: '' })).toThrow('UPLOAD_SESSION_KEYS must be set');
});

it.each([
  ['INCOMING_BUCKET', 'ab'],
  ['UPLOAD_SESSION_KEYS', 'secret'],
  ['UPLOAD_SESSION_KEYS', `${'0f'.repeat(32)},secret`],
  ['ALLOWED_TYPES', 'secret'],
])('rejects %s=%s without repeating the value', (name, value) => {
  const readInvalid = () => read({ [name]: value });
  expect(readInvalid).toThrow(new RegExp(`^Configuration: ${name} must [^;]*\\.$`));
  expect(readInvalid).not.toThrow(value);
});
