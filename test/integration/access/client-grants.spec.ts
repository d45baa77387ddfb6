import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { MAX_GRANTS } from '#libs/access';
import { AssetGrantsService, type AssetGrantInput, type AssetRevocationInput } from '#libs/assets';
import { type Actor, kindOf, type Permission } from '#libs/domain';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { until } from '../../../libs/testing/src/until.js';
import { actor, World } from '../../../libs/testing/src/world.js';
import { emptyWorld } from '../../support/empty-world.js';

const OWNER = actor(42n);
const OPERATOR = actor(1n, { isAdmin: true });
const READER = actor(7n, { groups: ['staff'] });
const MISSING = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
const PAST = new Date('2026-01-01');
const FUTURE = new Date('2100-01-01');

describe('grants of clients (real: PostgreSQL)', () => {
  let world: World;
  let grants: AssetGrantsService;
  let asset: string;
  beforeAll(async () => {
    world = await World.start();
    grants = world.module.get(AssetGrantsService, { strict: false });
  });
  beforeEach(async () => {
    await emptyWorld(world);
    asset = await storeAsset(world.database);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const sql = (text: string, values: unknown[] = []) =>
    world.database.pool.query<Record<string, string>>(text, values);
  const grant = (more: Partial<AssetGrantInput> = {}, by: Actor = OWNER) =>
    grants.grant(by, { assetId: asset, principal: 'user:7', permissions: ['READ'], ...more });
  const revoke = (more: Partial<AssetRevocationInput> = {}, by: Actor = OWNER) =>
    grants.revoke(by, { assetId: asset, principal: 'user:7', ...more });
  const rows = async () => (await world.assets.details([asset])).get(asset)!.acl;
  const fill = (count: number, expiresAt: Date | null = null) =>
    sql(
      `insert into asset_acl (asset_id, principal, permission, expires_at)
        select $1, 'user:' || 1000 + n, 'READ', $3 from generate_series(1, $2) n`,
      [asset, count, expiresAt],
    );
  const events = async () =>
    (
      await sql(
        `select 1 from domain_events where asset_id = $1 and owner_id = 42 and type = 'asset.access-changed'`,
        [asset],
      )
    ).rows.length;

  describe('grant', () => {
    it('gives permissions to a user, to a group and to everyone', async () => {
      expect(await grant({ permissions: ['READ', 'WRITE', 'READ'], expiresAt: FUTURE })).toMatchObject({
        id: asset,
      });
      await grant({ principal: 'group:staff', permissions: ['DELETE'] });
      await grant({ principal: '*' }, OPERATOR);
      expect(await rows()).toEqual([
        { principal: '*', permission: 'READ', expiresAt: null },
        { principal: 'group:staff', permission: 'DELETE', expiresAt: null },
        { principal: 'user:7', permission: 'READ', expiresAt: FUTURE },
        { principal: 'user:7', permission: 'WRITE', expiresAt: FUTURE },
      ]);
      expect(await events()).toBe(3);
      expect(await world.assets.get(READER, asset, 'WRITE')).toMatchObject({ id: asset });
    });

    it('changes nothing when repeated, and replaces the expiry of the named permissions only', async () => {
      await grant({ permissions: ['READ', 'WRITE'] });
      await grant({ permissions: ['WRITE', 'READ'] });
      expect(await events()).toBe(1);
      await grant({ permissions: ['WRITE'], expiresAt: FUTURE });
      await grant({ permissions: ['WRITE'], expiresAt: FUTURE });
      expect(await rows()).toEqual([
        { principal: 'user:7', permission: 'READ', expiresAt: null },
        { principal: 'user:7', permission: 'WRITE', expiresAt: FUTURE },
      ]);
      expect(await events()).toBe(2);
    });

    it('renews an expired grant', async () => {
      await sql(`insert into asset_acl values ($1, 'user:7', 'READ', $2)`, [asset, PAST]);
      expect(await world.assets.find(READER, asset)).toBeNull();
      await grant();
      expect(await rows()).toEqual([{ principal: 'user:7', permission: 'READ', expiresAt: null }]);
      expect(await world.assets.find(READER, asset)).not.toBeNull();
    });

    it('to the owner takes nothing from the owner when it is revoked', async () => {
      await grant({ principal: 'user:42' });
      await revoke({ principal: 'user:42' });
      expect(await world.assets.get(OWNER, asset, 'DELETE')).toMatchObject({ id: asset });
    });

    it.each(['PENDING', 'REJECTED', 'DELETED'] as const)(
      'is possible while the asset is %s',
      async (status) => {
        asset = await storeAsset(world.database);
        await sql(
          'update media_assets set status = $2::asset_status, stored_object_id = null where asset_id = $1',
          [asset, status],
        );
        await grant({ permissions: ['DELETE'] });
        expect(await world.assets.find(READER, asset)).toMatchObject({ status });
        await revoke();
        expect(await world.assets.find(READER, asset)).toBeNull();
      },
    );
  });

  describe('revoke', () => {
    it('removes the named permissions, or all of the principal', async () => {
      await grant({ permissions: ['READ', 'WRITE', 'DELETE'] });
      await grant({ principal: 'user:8' });
      await revoke({ permissions: ['READ', 'WRITE', 'READ'] });
      expect((await rows()).map(({ principal, permission }) => `${principal} ${permission}`)).toEqual([
        'user:7 DELETE',
        'user:8 READ',
      ]);
      await revoke({ permissions: null });
      expect(await rows()).toMatchObject([{ principal: 'user:8' }]);
      expect(await world.assets.find(READER, asset)).toBeNull();
      expect(await events()).toBe(4);
    });

    it('of what is not granted changes nothing', async () => {
      await grant();
      for (const more of [{ principal: 'user:8' }, { permissions: ['WRITE' as const] }, { principal: '*' }]) {
        expect(await revoke(more)).toMatchObject({ id: asset });
      }
      expect(await rows()).toHaveLength(1);
      expect(await events()).toBe(1);
    });

    it('keeps grants of features', async () => {
      await sql(`insert into asset_acl values ($1, 'folders:7', 'READ')`, [asset]);
      await expect(revoke({ principal: 'folders:7' })).rejects.toMatchObject({ reason: 'PRINCIPAL_INVALID' });
      await revoke({ principal: '*' });
      expect(await rows()).toHaveLength(1);
    });
  });

  describe('callers', () => {
    const outcomes = async (by: Actor, assetId = asset) => {
      const attempts = [
        grant({ assetId, principal: 'user:9' }, by),
        grant({ assetId, principal: '*' }, by),
        grant({ assetId, principal: `user:${by.ownerId}`, permissions: ['WRITE'] }, by),
        revoke({ assetId }, by),
      ];
      return (await Promise.allSettled(attempts)).map((outcome) =>
        outcome.status === 'fulfilled' ? 'granted' : (outcome.reason as { reason: string; message: string }),
      );
    };

    it.each<[string, Permission]>([
      ['READ', 'READ'],
      ['WRITE', 'WRITE'],
      ['DELETE', 'DELETE'],
    ])('with %s may neither grant nor revoke', async (_, permission) => {
      await grant({ permissions: [permission] });
      for (const outcome of await outcomes(READER)) {
        expect(outcome).toMatchObject({ kind: 'forbidden', reason: 'PERMISSION_MISSING' });
      }
      expect(await rows()).toMatchObject([{ principal: 'user:7', permission }]);
    });

    it('who may not read the asset get the answer for a missing asset', async () => {
      await sql(`insert into asset_acl values ($1, 'user:7', 'WRITE', $2)`, [asset, PAST]);
      const [known, missing, invalid] = [
        await outcomes(READER),
        await outcomes(READER, MISSING),
        await outcomes(READER, "'; drop table asset_acl; --"),
      ];
      expect(known[0]).toMatchObject({ kind: 'not-found', reason: 'ASSET_NOT_FOUND' });
      expect(known).toEqual(missing);
      expect(known).toEqual(invalid);
    });

    it('who hold READ or WRITE do not find a deleted asset, holders of DELETE may not change its grants', async () => {
      await grant({ permissions: ['WRITE'] });
      await grant({ principal: 'user:8', permissions: ['DELETE'] });
      await world.removal.delete(OWNER, asset);
      for (const outcome of await outcomes(READER)) expect(outcome).toMatchObject({ kind: 'not-found' });
      for (const outcome of await outcomes(actor(8n))) expect(outcome).toMatchObject({ kind: 'forbidden' });
    });
  });

  describe('input', () => {
    it.each([
      '',
      'user:',
      'user:07',
      'user:-1',
      'user:9223372036854775808',
      'User:7',
      '__proto__',
      'constructor',
      'group:',
      'group:*',
      'group:a,b',
      'group:a\0b',
      'user:7\0',
      'albums:7',
      '**',
      `group:${'x'.repeat(10_240)}`,
      'x'.repeat(10_240),
    ])('with the principal %j is refused', async (principal) => {
      const refused = { kind: 'invalid', reason: 'PRINCIPAL_INVALID', inputPath: ['input', 'principal'] };
      await expect(grant({ principal })).rejects.toMatchObject(refused);
      await expect(revoke({ principal })).rejects.toMatchObject(refused);
      expect(await rows()).toEqual([]);
    });

    it.each<[string, string, Partial<AssetGrantInput>]>([
      ['WRITE for everyone', 'GRANT_TO_EVERYONE', { principal: '*', permissions: ['READ', 'WRITE'] }],
      ['no permission', 'PERMISSIONS_EMPTY', { permissions: [] }],
      ['an expiry in the past', 'EXPIRY_PAST', { expiresAt: PAST }],
    ])('with %s is refused', async (_, reason, more) => {
      await expect(grant(more)).rejects.toMatchObject({ kind: 'invalid', reason });
      expect(await rows()).toEqual([]);
    });

    it('that revokes no permission is refused', async () => {
      await grant();
      await expect(revoke({ permissions: [] })).rejects.toMatchObject({ reason: 'PERMISSIONS_EMPTY' });
      expect(await rows()).toHaveLength(1);
    });

    it('gives one principal to all spellings of a group', async () => {
      await grant({ principal: 'group:Re\u0301daction' });
      await grant({ principal: 'group:Rédaction' });
      expect(await rows()).toHaveLength(1);
    });
  });

  describe('the limit of an access list', () => {
    it('counts unexpired grants of clients, and removes expired ones', async () => {
      await fill(MAX_GRANTS - 1);
      await sql(`insert into asset_acl values ($1, 'folders:7', 'READ')`, [asset]);
      const refused = { kind: 'invalid', reason: 'ACL_TOO_LONG' };
      await expect(grant({ permissions: ['READ', 'WRITE'] })).rejects.toMatchObject(refused);
      await grant();
      await expect(grant({ principal: 'user:8' })).rejects.toMatchObject(refused);
      await grant({ expiresAt: FUTURE });
      expect(await rows()).toHaveLength(MAX_GRANTS + 1);
      await sql(`update asset_acl set expires_at = $1 where principal <> 'folders:7'`, [PAST]);
      await grant({ principal: 'user:8' });
      expect((await rows()).map(({ principal }) => principal)).toEqual(['folders:7', 'user:8']);
    });

    it('holds when 200 calls grant together', async () => {
      await fill(MAX_GRANTS - 20);
      const attempt = async (index: number): Promise<boolean> => {
        try {
          await grant({ principal: `user:${index}` });
          return true;
        } catch (error) {
          // Two hundred transactions may wait longer for the lock than a connection does.
          if (kindOf(error) === 'unavailable') return attempt(index);
          expect(error).toMatchObject({ reason: 'ACL_TOO_LONG' });
          return false;
        }
      };
      const outcomes = await Promise.all(Array.from({ length: 200 }, (_, index) => attempt(index)));
      expect(outcomes.filter(Boolean)).toHaveLength(20);
      expect(await rows()).toHaveLength(MAX_GRANTS);
      expect(await events()).toBe(20);
    });
  });

  describe('concurrency', () => {
    it('orders a revocation and a grant, and writes an event for each change', async () => {
      await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? grant() : revoke())));
      const isGranted = (await rows()).length === 1;
      expect(await world.assets.find(READER, asset)).toEqual(isGranted ? expect.anything() : null);
      expect((await events()) % 2).toBe(isGranted ? 1 : 0);
    });

    it.each([
      ['loses the asset', 'update media_assets set owner_id = 43 where asset_id = $1', 'not-found'],
      [
        'becomes a reader',
        `with a as (update media_assets set owner_id = 43 where asset_id = $1 returning asset_id)
        insert into asset_acl select asset_id, 'user:42', 'READ' from a`,
        'forbidden',
      ],
      ['purges the asset', 'delete from media_assets where asset_id = $1', 'not-found'],
    ])('refuses a granter who %s meanwhile', async (_, change, kind) => {
      const other = new pg.Client({ connectionString: world.testDatabase.url });
      await other.connect();
      try {
        await other.query('begin');
        await other.query(change, [asset]);
        const refused = expect(grant()).rejects.toMatchObject({ kind });
        await until('the grant waits for the lock', async () => {
          const { rows } = await sql(`select 1 from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'`);
          return rows.length > 0 || null;
        });
        await other.query('commit');
        await refused;
        expect((await sql(`select 1 from asset_acl where principal = 'user:7'`)).rows).toEqual([]);
        expect(await events()).toBe(0);
      } finally {
        await other.end();
      }
    });
  });

  it('does not trust a row that gives everyone more than READ', async () => {
    const { rows: constraints } = await sql(`select conname as name, pg_get_constraintdef(oid) as definition
      from pg_constraint where conname in ('asset_acl_others_read_check', 'asset_acl_everyone_reads_check')`);
    expect(constraints).toHaveLength(2);
    for (const { name } of constraints) await sql(`alter table asset_acl drop constraint ${name}`);
    try {
      await sql(`insert into asset_acl values ($1, '*', 'DELETE')`, [asset]);
      expect(await world.assets.get(READER, asset, 'READ')).toMatchObject({ id: asset });
      await expect(world.assets.get(READER, asset, 'DELETE')).rejects.toMatchObject({ kind: 'forbidden' });
      await sql('delete from asset_acl');
    } finally {
      for (const { name, definition } of constraints) {
        await sql(`alter table asset_acl add constraint ${name} ${definition}`);
      }
    }
  });
});
