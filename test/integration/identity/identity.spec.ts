import type http from 'node:http';
import { SignJWT } from 'jose';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Clock, Database, DatabaseConfig, Notifications } from '#libs/database';
import { configured } from '#libs/runtime';
import { IdentityConfig, IdentityService, TokenRevocationsService } from '#libs/identity';
import { OwnersRepository } from '../../../libs/identity/src/owners.repository.js';
import { TokenRevocationsRepository } from '../../../libs/identity/src/token-revocations.repository.js';
import { withLocalClockOff } from '../../support/local-clock.js';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';

const SECRET = 'a secret of more than thirty-two characters';
const TOKENS = { issuer: 'tests', audience: 'stowage', secret: SECRET };
const CONFIG = configured(IdentityConfig, TOKENS);
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
  let owners: OwnersRepository;
  let revocations: TokenRevocationsService;
  let identity: IdentityService;
  let clock: Clock;
  const registry = new Registry();
  const as = async (jwt: string, headers: http.IncomingHttpHeaders = {}) =>
    identity.authenticate({ authorization: `Bearer ${jwt}`, ...headers });

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    const config = configured(DatabaseConfig, { url: testDatabase.url });
    database = new Database(config);
    clock = new Clock(config, database);
    await clock.measure();
    owners = new OwnersRepository(database);
    const repository = new TokenRevocationsRepository(database);
    revocations = new TokenRevocationsService(repository, clock, new Notifications(database));
    identity = new IdentityService(CONFIG, owners, revocations, clock, registry);
  });
  afterAll(async () => {
    await database.onApplicationShutdown();
    await testDatabase.drop();
  });

  it('keeps decimal subjects as owner ids and maps others to permanent ids above 2^62', async () => {
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
    const others = new OwnersRepository(database);
    const other = new IdentityService(CONFIG, others, revocations, clock, new Registry());
    expect((await other.authenticate({ authorization: `bearer ${jwts[0]!}` })).ownerId).toBe(ids[0]);
  });

  it('checks token expiry against database time and rejects all tokens beyond the clock limit', async () => {
    const now = Math.floor(Date.now() / 1000);
    const expired = await token('42', { exp: now - 3600 });
    const valid = await token('42', { exp: now + 3600 });
    for (const hours of [-2, 2]) {
      await withLocalClockOff(hours * 3_600_000, clock, async () => {
        await expect(as(expired)).rejects.toMatchObject({ reason: 'CLOCK_OFFSET', kind: 'unavailable' });
        await expect(as(valid)).rejects.toMatchObject({ reason: 'CLOCK_OFFSET', kind: 'unavailable' });
      });
      const config = configured(DatabaseConfig, { clockLimitSeconds: 86_400 });
      const wider = new Clock(config, database);
      const tolerant = new IdentityService(CONFIG, owners, revocations, wider, new Registry());
      await withLocalClockOff(hours * 3_600_000, wider, async () => {
        const of = (jwt: string) => tolerant.authenticate({ authorization: `Bearer ${jwt}` });
        await expect(of(expired)).rejects.toMatchObject({ reason: 'TOKEN_EXPIRED' });
        expect(await of(valid)).toMatchObject({ ownerId: 42n });
      });
    }
  });

  it('reports when a token expires, up to the latest valid date', async () => {
    const exp = Math.floor(Date.now() / 1000) + 60;
    expect(await as(await token('42', { exp }))).toMatchObject({ until: new Date((exp + 30) * 1000) });
    expect(await as(await token('42', { exp: 1e15 }))).toMatchObject({ until: new Date(8.64e15) });
  });

  it.each<[unknown, number | undefined]>([
    [1_700_000_000, 1_700_000_000_000],
    [1_700_000_000.25, 1_700_000_000_250],
    [undefined, undefined],
    [1e300, 8.64e15],
    [-1e300, -8.64e15],
  ])('reports when a token was issued: %j', async (iat, issuedAt) => {
    expect((await as(await token('42', { iat }))).issuedAt?.getTime()).toBe(issuedAt);
  });

  it.each<[string, Promise<string>]>([
    ['with a text as its time of issue', token('1', { iat: '1700000000' })],
    ['without a subject', token(undefined)],
    ['with an empty subject', token('')],
    ['with a number as subject', token(undefined, { sub: 42 })],
    ['with a list as subject', token(undefined, { sub: ['42'] })],
    ['with NUL in its subject', token('a\0b')],
    ['with a long subject', token('x'.repeat(256))],
    ['of another issuer', token('1', { iss: 'others' })],
    ['for another audience', token('1', { aud: 'others' })],
    ['without an expiry', token('1', { exp: undefined })],
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
  ])('rejects a token %s', async (_, jwt) => {
    await expect(as(await jwt)).rejects.toMatchObject({ kind: 'unauthenticated', reason: 'TOKEN_INVALID' });
  });

  const LONG = 'x'.repeat(201);
  it.each<[string, unknown, string[]]>([
    [
      'names with spaces and punctuation',
      ['Domain Users', '/staff/editors', 'R&D', 'a@b.example'],
      ['Domain Users', '/staff/editors', 'R&D', 'a@b.example'],
    ],
    ['one name as a string', 'Domain Users', ['Domain Users']],
    ['comma-separated names as text', ' staff, Domain Users,,staff', ['staff', 'Domain Users']],
    ['a list with unusable entries', ['ok', '', 7, null, ['a'], {}, 'a,b', 'a\nb', '*', LONG], ['ok']],
    ['repeated names in two Unicode forms', ['é', 'e\u0301', 'a', 'a'], ['é', 'a']],
    ['names of inherited object properties', ['__proto__', 'constructor'], ['__proto__', 'constructor']],
    ['an object', { admins: true }, []],
    ['a number', 7, []],
    ['null', null, []],
    ['no groups', undefined, []],
    ['empty text', '', []],
    [
      'more than 200',
      Array.from({ length: 250 }, (_, index) => `g${index}`),
      Array.from({ length: 200 }, (_, index) => `g${index}`),
    ],
  ])('reads groups from a token with %s', async (_, groups, names) => {
    expect(await as(await token('42', { groups }))).toMatchObject({ ownerId: 42n, groups: names });
  });

  it('counts dropped groups once per token without naming them', async () => {
    registry.resetMetrics();
    const many = Array.from({ length: 203 }, (_, index) => `secret ${index}`);
    const jwt = await token('42', { groups: [...many, 'bad,one', 7] });
    for (let time = 0; time < 2; time++) await as(jwt);
    await as(await token('42', { groups: ['fine'] }));
    expect(await registry.getSingleMetric('stowage_token_groups_dropped_total')?.get()).toMatchObject({
      values: [
        { labels: { reason: 'invalid' }, value: 2 },
        { labels: { reason: 'too-many' }, value: 3 },
      ],
    });
    expect(await registry.metrics()).not.toMatch(/secret|bad/);
  });

  it.each<[unknown, boolean]>([
    ['openid stowage.admin', true],
    [['openid', 'stowage.admin'], true],
    [['openid stowage.admin', 7, null, {}], true],
    [' stowage.admin ', true],
    ['stowage.administrator', false],
    [['stowage.', 'admin'], false],
    [{ 'stowage.admin': true }, false],
    [true, false],
  ])('reads the scope %j', async (scope, isAdmin) => {
    expect(await as(await token('42', { scope }))).toMatchObject({ isAdmin });
  });

  it.each<[string, string, Record<string, unknown>]>([
    ['/realm_access/roles', '/scp', { realm_access: { roles: ['a'] }, scp: ['stowage.admin'] }],
    ['/cognito:groups', '/custom/0/scope', { 'cognito:groups': ['a'], custom: [{ scope: 'stowage.admin' }] }],
    [
      '/https:~1~1idp.example~1groups',
      '/a~0b',
      { 'https://idp.example/groups': 'a', 'a~b': 'stowage.admin' },
    ],
  ])('reads groups only from %s and scopes only from %s', async (groupsPointer, scopesPointer, claims) => {
    const elsewhere = new IdentityService(
      configured(IdentityConfig, { ...TOKENS, groupsPointer, scopesPointer }),
      owners,
      revocations,
      clock,
      new Registry(),
    );
    const ask = async (more: Record<string, unknown>) =>
      elsewhere.authenticate({ authorization: `Bearer ${await token('42', more)}` });
    expect(await ask({ ...claims, groups: ['other'] })).toMatchObject({ groups: ['a'], isAdmin: true });
    const usual = { groups: ['other'], scope: 'stowage.admin' };
    expect(await ask(usual)).toMatchObject({ groups: [], isAdmin: false });
  });

  it.each(['groups', '/a~2', ''])('rejects the invalid JSON pointer %j', (pointer) => {
    for (const name of ['groupsPointer', 'scopesPointer'] as const) {
      const config = configured(IdentityConfig, { ...TOKENS, [name]: pointer });
      expect(() => new IdentityService(config, owners, revocations, clock, new Registry())).toThrow(
        TypeError,
      );
    }
  });

  it('lets a service act for an owner only with the delegate scope', async () => {
    const behalf = { 'x-stowage-on-behalf-of': '7' };
    expect(await as(await token('mailer', { scope: 'stowage.delegate stowage.admin' }), behalf)).toEqual({
      ownerId: 7n,
      groups: [],
      isAdmin: false,
      until: expect.any(Date),
      delegate: 'mailer',
      delegateId: await owners.idOf('tests', 'mailer'),
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
