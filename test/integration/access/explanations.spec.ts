import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AccessExplanationsService, MAX_EXPLAINED_PRINCIPALS, PrincipalSources } from '#libs/access';
import { PERMISSIONS, type Permission } from '#libs/domain';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { actor, World } from '../../../libs/testing/src/world.js';
import { emptyWorld } from '../../support/empty-world.js';
import { FOLDER_SHARES, sharesFeature } from './shares.js';

const MISSING = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
const PAST = '2026-01-01T00:00:00.000Z';
const FUTURE = '2100-01-01T00:00:00.000Z';
const LATER = '2100-01-02T00:00:00.000Z';
const CALLER = actor(7n, { groups: ['editors'] });
const PRINCIPALS = ['user:7', 'group:editors', '*'];

describe('explanations of access (real: PostgreSQL)', () => {
  let world: World;
  let asset: string;
  let explanations: AccessExplanationsService;
  beforeAll(async () => {
    world = await World.start({ features: [sharesFeature(FOLDER_SHARES)] });
    explanations = world.module.get(AccessExplanationsService, { strict: false });
    await world.module.get(PrincipalSources, { strict: false }).onModuleInit();
  });
  beforeEach(async () => {
    await emptyWorld(world);
    await sql('delete from folder_shares');
    asset = await storeAsset(world.database);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const sql = (text: string, values: unknown[] = []) => world.database.pool.query(text, values);
  const grant = (principal: string, permission: Permission = 'READ', expiresAt: string | null = null) =>
    sql('insert into asset_acl values ($1, $2, $3::permission, $4)', [
      asset,
      principal,
      permission,
      expiresAt,
    ]);
  const share = (principal: string, expiresAt: string | null = null) =>
    sql('insert into folder_shares values (7, $1, $2)', [principal, expiresAt]);
  const explain = (permission: Permission = 'READ', principals: readonly string[] = PRINCIPALS, id = asset) =>
    explanations.explain(id, principals, permission);
  const remove = (entry: string) => {
    const [, principal, permission] = /^(\S+) ([A-Z]+)/.exec(entry)!;
    return sql('delete from asset_acl where principal = $1 and permission = $2::permission', [
      principal,
      permission,
    ]);
  };
  const isAllowed = async (permission: Permission) =>
    world.assets.get(CALLER, asset, permission).then(
      () => true,
      () => false,
    );

  it.each<[string, () => Promise<unknown>, Permission, string[]]>([
    ['a user', () => grant('user:7'), 'READ', ['user:7 READ']],
    [
      'a group',
      () => grant('group:editors', 'WRITE', FUTURE),
      'WRITE',
      [`group:editors WRITE until ${FUTURE}`],
    ],
    ['everyone', () => grant('*'), 'READ', ['* READ']],
    ['WRITE, which includes READ', () => grant('user:7', 'WRITE'), 'READ', ['user:7 WRITE']],
    ['DELETE', () => grant('user:7', 'DELETE'), 'DELETE', ['user:7 DELETE']],
    [
      'a share',
      () => Promise.all([grant('folders:7'), share('user:7')]),
      'READ',
      ['folders:7 READ via user:7'],
    ],
    [
      'several shares that end',
      () =>
        Promise.all([
          grant('folders:7', 'READ', LATER),
          share('user:7', FUTURE),
          share('*', PAST),
          share('group:editors', PAST),
        ]),
      'READ',
      [`folders:7 READ via user:7 until ${FUTURE}`],
    ],
    [
      'a share that outlasts its grant',
      () => Promise.all([grant('folders:7', 'READ', FUTURE), share('user:7', LATER), share('*')]),
      'READ',
      [`folders:7 READ via *, user:7 until ${FUTURE}`],
    ],
    [
      'several entries',
      () =>
        Promise.all([
          grant('*'),
          grant('group:editors', 'DELETE'),
          grant('user:7', 'READ', PAST),
          grant('user:8'),
        ]),
      'READ',
      ['* READ', 'group:editors DELETE'],
    ],
  ])('name the entries that must go for access to end: %s', async (_, given, permission, because) => {
    await given();
    expect(await explain(permission)).toEqual({ allowed: true, because });
    for (const [index, entry] of because.entries()) {
      expect(await isAllowed(permission)).toBe(true);
      await remove(entry);
      expect(await isAllowed(permission)).toBe(index < because.length - 1);
    }
    expect(await explain(permission)).toMatchObject({ allowed: false });
  });

  it('name the entries for a deleted asset', async () => {
    for (const permission of PERMISSIONS) await grant('user:7', permission);
    await world.removal.delete(actor(42n), asset);
    expect(await explain('READ')).toEqual({ allowed: true, because: ['user:7 DELETE'] });
    expect(await explain('DELETE')).toEqual({ allowed: true, because: ['user:7 DELETE'] });
    expect(await explain('WRITE')).toEqual({ allowed: true, because: ['user:7 WRITE', 'user:7 DELETE'] });
    await remove('user:7 DELETE');
    expect(await explain('READ')).toEqual({ allowed: false, because: ['DELETED'] });
    expect(await explain('DELETE')).toEqual({ allowed: false, because: ['NO_GRANT'] });
    expect(await world.assets.find(CALLER, asset)).toBeNull();
  });

  it('say why there is no access', async () => {
    expect(await explain('READ', PRINCIPALS, MISSING)).toEqual({ allowed: false, because: ['NO_ASSET'] });
    expect(await explain('READ', PRINCIPALS, 'no id')).toEqual({ allowed: false, because: ['NO_ASSET'] });
    expect(await explain()).toEqual({ allowed: false, because: ['NO_GRANT'] });
    await grant('user:7', 'READ', PAST);
    await grant('folders:7');
    await share('group:editors', PAST);
    expect(await explain()).toEqual({
      allowed: false,
      because: [
        `EXPIRED folders:7 READ via group:editors until ${PAST}`,
        `EXPIRED user:7 READ until ${PAST}`,
      ],
    });
    expect(await explain('WRITE')).toEqual({ allowed: false, because: ['NO_GRANT'] });
  });

  it('name owners and operators', async () => {
    await grant('*');
    expect(await explain('DELETE', ['user:42', '*'])).toEqual({ allowed: true, because: ['OWNER'] });
    expect(await explain('DELETE', ['ADMIN'])).toEqual({ allowed: true, because: ['ADMIN'] });
    expect(await explain('WRITE', ['ADMIN', 'user:42'])).toEqual({
      allowed: true,
      because: ['OWNER', 'ADMIN'],
    });
    await world.removal.delete(actor(42n), asset);
    expect(await explain('READ', ['user:42'])).toEqual({ allowed: true, because: ['OWNER'] });
  });

  it('count a principal only when it is given', async () => {
    await grant('*');
    await grant('folders:7');
    await share('user:7');
    expect(await explain('READ', ['user:8'])).toEqual({ allowed: false, because: ['NO_GRANT'] });
    expect(await explain('READ', ['folders:7'])).toEqual({ allowed: true, because: ['folders:7 READ'] });
    expect(await explain('WRITE', ['folders:7'])).toEqual({ allowed: false, because: ['NO_GRANT'] });
  });

  it.each<[string, string[], string, (string | number)[]]>([
    ['no principals', [], 'PRINCIPAL_COUNT', ['principals']],
    [
      'too many principals',
      Array.from({ length: MAX_EXPLAINED_PRINCIPALS + 1 }, (_, index) => `user:${index}`),
      'PRINCIPAL_COUNT',
      ['principals'],
    ],
    ['an empty principal', ['*', ''], 'PRINCIPAL_INVALID', ['principals', 1]],
    ['__proto__', ['__proto__'], 'PRINCIPAL_INVALID', ['principals', 0]],
    ['the group *', ['group:*'], 'PRINCIPAL_INVALID', ['principals', 0]],
    ['NUL', ['user:7\0'], 'PRINCIPAL_INVALID', ['principals', 0]],
    ['10 KB', ['x'.repeat(10_240)], 'PRINCIPAL_INVALID', ['principals', 0]],
    ['the principal of an unknown feature', ['rooms:7'], 'PRINCIPAL_INVALID', ['principals', 0]],
  ])('refuse %s', async (_, principals, reason, path) => {
    await expect(explain('READ', principals)).rejects.toMatchObject({
      kind: 'invalid',
      reason,
      inputPath: path,
    });
  });

  it('accept the principals of a caller with the most groups', async () => {
    const groups = Array.from({ length: MAX_EXPLAINED_PRINCIPALS - 2 }, (_, index) => `group:${index}`);
    await grant('group:199');
    expect(await explain('READ', ['user:7', ...groups, '*'])).toEqual({
      allowed: true,
      because: ['group:199 READ'],
    });
  });

  it('agree with the decision for any access list', async () => {
    const principals = ['user:7', 'user:8', 'group:editors', 'group:others'];
    const pick = <T>(values: readonly T[], seed: number) => values[seed % values.length]!;
    for (let seed = 1; seed <= 60; seed++) {
      await sql('delete from asset_acl');
      await sql('delete from folder_shares');
      await sql('update media_assets set status = $1::asset_status', [seed % 5 === 0 ? 'DELETED' : 'READY']);
      const ends = [null, PAST, FUTURE];
      for (const [index, permission] of PERMISSIONS.entries()) {
        if ((seed >> index) % 2 === 0) continue;
        await grant(pick(principals, seed + 3 * index), permission, pick(ends, seed * 7 + index));
      }
      if (seed % 3 === 0) await grant('folders:7', 'READ', pick(ends, seed + 1));
      await share(pick([...principals, '*'], seed), pick(ends, seed * 5));
      for (const permission of PERMISSIONS) {
        const { allowed, because } = await explain(permission);
        expect([seed, permission, allowed]).toEqual([seed, permission, await isAllowed(permission)]);
        expect(because).not.toEqual([]);
      }
    }
  });
});
