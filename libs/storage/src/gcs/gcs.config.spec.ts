import { describe, expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { GcsConfig } from './gcs.config.js';

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration({ gcs: GcsConfig }, { GOOGLE_CLOUD_PROJECT: 'project', ...env }).gcs;

it.each([
  ['GOOGLE_CLOUD_PROJECT', ''],
  ['GCS_API_ENDPOINT', 'secret'],
  ['HTTP_PROXY', 'secret:3128'],
  ['https_proxy', 'socks5://secret'],
])('GcsConfig rejects %s=%j', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(new RegExp(`^Configuration: ${name} must [^;]*\\.$`));
});

describe('the proxy of GcsConfig', () => {
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
  ])('is for %j %j', (given, expected) => {
    expect(read(given).proxy).toEqual(expected);
  });
});
