import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { QuotaConfig } from './quota.config.js';

const read = (env: NodeJS.ProcessEnv) => readConfiguration({ quota: QuotaConfig }, env).quota;

it('reads the default limits of an owner', () => {
  expect(read({})).toEqual({ limitBytes: 10 * 2 ** 30, limitAssets: 100_000 });
  expect(read({ QUOTA_BYTES: '5 GiB', QUOTA_ASSETS: '0' })).toEqual({
    limitBytes: 5 * 2 ** 30,
    limitAssets: 0,
  });
});

it.each([
  ['QUOTA_BYTES', '5 GB of secret'],
  ['QUOTA_ASSETS', '-1'],
])('rejects %s=%s', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(new RegExp(`^Configuration: ${name} must [^;]*\\.$`));
});
