import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { IdentityConfig } from './identity.config.js';

const SECRET = 's'.repeat(32);
const JWKS = 'https://keys.example/jwks';

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration({ identity: IdentityConfig }, { JWT_ISSUER: 'issuer', JWT_AUDIENCE: 'audience', ...env })
    .identity;

it('accepts a secret or a key set', () => {
  expect(read({ JWT_SECRET: SECRET })).toMatchObject({
    secret: SECRET,
    groupsPointer: '/groups',
    scopesPointer: '/scope',
  });
  expect(read({ JWT_JWKS_URL: JWKS }).jwksUrl).toBe(JWKS);
});

it.each([
  [{}, 'JWT_SECRET must have at least 32 characters'],
  [{ JWT_SECRET: SECRET, JWT_JWKS_URL: JWKS }, 'set JWT_SECRET or JWT_JWKS_URL, not both'],
  [{ JWT_SECRET: 'short' }, 'JWT_SECRET must have at least 32 characters'],
  [{ JWT_JWKS_URL: 'secret' }, 'JWT_JWKS_URL must be an http:// or https:// URL'],
])('reports %j', (env, problem) => {
  expect(() => read(env)).toThrow(`Configuration: ${problem}.`);
});
