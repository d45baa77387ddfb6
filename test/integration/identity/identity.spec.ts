import type http from 'node:http';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Database } from '#libs/database';
import { Identity, type IdentityOptions } from '#libs/identity';
import { createTestDatabase, type TestDatabase } from '../../support/postgres.js';

const SECRET = 'a secret of more than thirty-two characters';
const OPTIONS: IdentityOptions = { issuer: 'tests', audience: 'stowage', key: { secret: SECRET } };
const secretKey = new TextEncoder().encode(SECRET);

const token = (sub: string | undefined, claims: Record<string, unknown> = {}) => {
  const jwt = new SignJWT({
    iss: 'tests',
    aud: 'stowage',
    exp: Math.floor(Date.now() / 1000) + 60,
    ...claims,
  });
  if (sub !== undefined) jwt.setSubject(sub);
  return jwt.setProtectedHeader({ alg: 'HS256' }).sign(secretKey);
};

describe('identity (real: PostgreSQL, jose)', () => {
  let testDatabase: TestDatabase;
  let database: Database;
  let identity: Identity;
  const as = async (jwt: string, headers: http.IncomingHttpHeaders = {}) =>
    identity.authenticate({ authorization: `Bearer ${jwt}`, ...headers });

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    database = new Database({ url: testDatabase.url });
    identity = new Identity(OPTIONS, database);
  });
  afterAll(async () => {
    await database.onApplicationShutdown();
    await testDatabase.drop();
  });

  it('uses decimal subjects as they are and maps all others above 2^62, once and for good', async () => {
    expect(await as(await token('42', { groups: ['a', 'b.c'], scope: 'x stowage.admin' }))).toEqual({
      ownerId: 42n,
      groups: ['a', 'b.c'],
      isAdmin: true,
      until: expect.any(Date),
    });
    expect(await as(await token(String(2n ** 62n)))).toMatchObject({ ownerId: 2n ** 62n });
    const jwts = await Promise.all(
      ['auth0|x', 'auth0|x', '042', String(2n ** 62n + 1n), 'auth0|x'].map((sub) => token(sub)),
    );
    const ids = await Promise.all(jwts.map(async (jwt) => (await as(jwt)).ownerId));
    expect(ids.every((id) => id > 2n ** 62n)).toBe(true);
    expect(new Set(ids).size).toBe(3);
    const other = new Identity(OPTIONS, database);
    expect((await other.authenticate({ authorization: `bearer ${jwts[0]!}` })).ownerId).toBe(ids[0]);
  });

  it('knows when a token ends, however far that is', async () => {
    const exp = Math.floor(Date.now() / 1000) + 60;
    expect(await as(await token('42', { exp }))).toMatchObject({ until: new Date((exp + 30) * 1000) });
    expect(await as(await token('42', { exp: 1e15 }))).toMatchObject({ until: new Date(8.64e15) });
  });

  it.each<[string, Promise<string>]>([
    ['without a subject', token(undefined)],
    ['with an empty subject', token('')],
    ['with a number as subject', token(undefined, { sub: 42 })],
    ['with a list as subject', token(undefined, { sub: ['42'] })],
    ['with NUL in its subject', token('a\0b')],
    ['with a long subject', token('x'.repeat(256))],
    ['of another issuer', token('1', { iss: 'others' })],
    ['for another audience', token('1', { aud: 'others' })],
    ['without an expiry', token('1', { exp: undefined })],
    ['with a group that is none', token('1', { groups: ['a b'] })],
    ['with groups that are no list', token('1', { groups: 'admins' })],
    ['with a scope that is no text', token('1', { scope: ['stowage.admin'] })],
    [
      'with another algorithm',
      new SignJWT({})
        .setProtectedHeader({ alg: 'HS512' })
        .setSubject('1')
        .setIssuer('tests')
        .setAudience('stowage')
        .setExpirationTime('1h')
        .sign(secretKey),
    ],
  ])('refuses a token %s', async (_, jwt) => {
    await expect(as(await jwt)).rejects.toMatchObject({ kind: 'unauthenticated', reason: 'TOKEN_INVALID' });
  });

  it('lets a service act for an owner, and for nobody without the scope', async () => {
    const behalf = { 'x-stowage-on-behalf-of': '7' };
    expect(await as(await token('mailer', { scope: 'stowage.delegate stowage.admin' }), behalf)).toEqual({
      ownerId: 7n,
      groups: [],
      isAdmin: false,
      until: expect.any(Date),
      delegate: 'mailer',
    });
    await expect(as(await token('mailer', { scope: 'stowage.admin' }), behalf)).rejects.toMatchObject({
      kind: 'forbidden',
    });
    const empty = { 'x-stowage-on-behalf-of': '' };
    await expect(as(await token('m', { scope: 'stowage.delegate' }), empty)).rejects.toMatchObject({
      kind: 'invalid',
    });
  });
});
