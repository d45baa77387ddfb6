import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import {
  FEATURE_GRANT_BATCH,
  FeatureGrantsService,
  MAX_FEATURE_GRANTS,
  MAX_GRANTS,
  permissionsOf,
  PrincipalSources,
  readableUntil,
} from '#libs/access';
import type { Actor, Permission } from '#libs/domain';
import { storeAsset } from '../../../libs/testing/src/stored-asset.js';
import { until } from '../../../libs/testing/src/until.js';
import { actor, World } from '../../../libs/testing/src/world.js';
import { emptyWorld } from '../../support/empty-world.js';
import { FOLDER_SHARES, FOLDERS, ROOM_SHARES, sharesFeature } from './shares.js';

const OWNER = actor(42n);
const READER = actor(7n, { groups: ['staff'] });
const STRANGER = actor(8n);
const ROOM = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
const PAST = new Date('2026-01-01');
const FUTURE = new Date('2100-01-01');
const LATER = new Date('2100-01-02');
const BOTH = {
  table: `${FOLDER_SHARES.table}; ${ROOM_SHARES.table}`,
  sources: [...ROOM_SHARES.sources, ...FOLDER_SHARES.sources],
};

describe('principals of features (real: PostgreSQL)', () => {
  let world: World;
  let grants: FeatureGrantsService;
  let asset: string;
  beforeAll(async () => {
    world = await World.start({ features: [sharesFeature(BOTH)] });
    grants = world.module.get(FeatureGrantsService, { strict: false });
    await world.module.get(PrincipalSources, { strict: false }).onModuleInit();
  });
  beforeEach(async () => {
    await emptyWorld(world);
    asset = await storeAsset(world.database);
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const sql = (text: string, values: unknown[] = []) => world.database.pool.query(text, values);
  const share = (principal: string, expiresAt: Date | null = null, folder = 7) =>
    sql('insert into folder_shares values ($1, $2, $3)', [folder, principal, expiresAt]);
  const grant = (assetIds: string[], more: { principal?: string; ownerId?: bigint; expiresAt?: Date } = {}) =>
    world.database.transaction((tx) =>
      grants.grant(tx, { ownerId: 42n, principal: 'folders:7', assetIds, ...more }),
    );
  const rows = () =>
    world.database.read(({ assetAcl }) =>
      assetAcl.findMany({ orderBy: [{ assetId: 'asc' }, { principal: 'asc' }] }),
    );

  /** The permissions of the caller on the asset, by each way of reading it. */
  async function seenBy(caller: Actor, id = asset): Promise<Record<string, unknown>> {
    const found = await world.assets.find(caller, id);
    const all = await world.assets.findAll(caller, [id]);
    const lists = await Promise.all(
      [{}, { properties: { hasLocation: true } }].map((filter) =>
        world.assets.list(caller, {
          scope: 'OWN',
          by: 'created',
          filter: { ownerId: 42n, ...filter },
          statuses: ['READY'],
          direction: 'asc',
          limit: 10,
        }),
      ),
    );
    const url = found && (await world.urls.sign(caller, found, 60, 'INLINE'));
    return {
      find: found && permissionsOf(caller, found),
      findAll: all.flatMap((each) => permissionsOf(caller, each)),
      lists: lists.map((list) => list.found.flatMap((listed) => permissionsOf(caller, listed.asset))),
      url: url !== null,
    };
  }
  const seen = (...permissions: Permission[]) => ({
    find: permissions.length === 0 ? null : permissions,
    findAll: permissions,
    lists: [permissions, permissions],
    url: permissions.length > 0,
  });
  const onlyWithLocation = () => sql('update asset_properties set has_location = true');

  describe.each(['user:7', 'group:staff', '*'])('a share with %s', (principal) => {
    beforeEach(onlyWithLocation);

    it('gives READ on granted assets, until the share is deleted', async () => {
      await grant([asset]);
      expect(await seenBy(READER)).toEqual(seen());
      await share(principal);
      expect(await seenBy(READER)).toEqual(seen('READ'));
      expect(await seenBy(STRANGER)).toEqual(principal === '*' ? seen('READ') : seen());
      await sql('delete from folder_shares');
      expect(await seenBy(READER)).toEqual(seen());
    });

    it('gives READ until the grant is revoked', async () => {
      await share(principal);
      await grant([asset]);
      expect(await seenBy(READER)).toEqual(seen('READ'));
      await world.database.transaction((tx) => grants.revoke(tx, 'folders:7', [asset]));
      expect(await seenBy(READER)).toEqual(seen());
    });

    it.each<[string, Date | null, Date | undefined, boolean]>([
      ['neither ends', null, undefined, true],
      ['both end later', FUTURE, FUTURE, true],
      ['the share has ended', PAST, FUTURE, false],
      ['the grant has ended', FUTURE, PAST, false],
    ])('when %s', async (_, shareEnds, grantEnds, isReadable) => {
      await share(principal, shareEnds);
      await grant([asset], { expiresAt: grantEnds });
      expect(await seenBy(READER)).toEqual(isReadable ? seen('READ') : seen());
    });
  });

  it.each<[string, Date | null, Date | undefined, number]>([
    ['neither ends', null, undefined, Infinity],
    ['the share ends first', FUTURE, LATER, FUTURE.getTime()],
    ['the grant ends first', LATER, FUTURE, FUTURE.getTime()],
    ['only the grant ends', null, FUTURE, FUTURE.getTime()],
    ['only the share ends', FUTURE, undefined, FUTURE.getTime()],
  ])('knows when READ ends: %s', async (_, shareEnds, grantEnds, expected) => {
    await share('user:7', shareEnds);
    await share('group:staff', FUTURE);
    await grant([asset], { expiresAt: grantEnds });
    expect(readableUntil(READER, (await world.assets.find(READER, asset))!)).toBe(expected);
    expect(readableUntil(OWNER, (await world.assets.find(OWNER, asset))!)).toBe(Infinity);
    await sql(`insert into asset_acl values ($1, 'user:7', 'READ', $2)`, [asset, new Date('2100-01-03')]);
    const [found] = await world.assets.findAll(READER, [asset]);
    expect(readableUntil(READER, found!)).toBe(Math.max(expected, Date.parse('2100-01-03')));
  });

  it('writes an event for each asset whose access list a feature changes', async () => {
    const other = await storeAsset(world.database);
    const events = async () => {
      const { rows } = await sql(`delete from domain_events where type = 'asset.access-changed'
        returning asset_id as id, owner_id as owner`);
      return (rows as { id: string; owner: bigint }[])
        .map(({ id, owner }) => `${[asset, other].indexOf(id)} of ${owner}`)
        .sort();
    };
    const change = (work: Parameters<typeof world.database.transaction>[0]) =>
      world.database.transaction(work);
    await grant([asset, other]);
    expect(await events()).toEqual(['0 of 42', '1 of 42']);
    await grant([asset, other]);
    expect(await events()).toEqual([]);
    await grant([asset], { expiresAt: FUTURE });
    expect(await events()).toEqual(['0 of 42']);
    await change((tx) => grants.revoke(tx, 'folders:7', [asset, ROOM]));
    await change((tx) => grants.revoke(tx, 'folders:7', [asset]));
    expect(await events()).toEqual(['0 of 42']);
    await change((tx) => grants.revokeAll(tx, 'folders:7'));
    expect(await events()).toEqual(['1 of 42']);
    await grant([asset]);
    await grant([asset], { principal: 'folders:8' });
    await events();
    await change((tx) => grants.clear(tx, [asset, other]));
    expect(await events()).toEqual(['0 of 42']);
  });

  it('gives READ by a share with ids of type uuid', async () => {
    await onlyWithLocation();
    await grant([asset], { principal: `rooms:${ROOM}` });
    await sql('insert into room_members values ($1, $2)', [ROOM, 'user:7']);
    expect(await seenBy(READER)).toEqual(seen('READ'));
    expect(await seenBy(STRANGER)).toEqual(seen());
  });

  it('gives READ on one folder only', async () => {
    const other = await storeAsset(world.database);
    await share('user:7');
    await share('user:8', null, 8);
    await grant([asset]);
    await grant([other], { principal: 'folders:8' });
    expect((await world.assets.findAll(READER, [asset, other])).map(({ id }) => id)).toEqual([asset]);
    expect((await world.assets.findAll(STRANGER, [asset, other])).map(({ id }) => id)).toEqual([other]);
  });

  it('adds READ to the permissions of the access list', async () => {
    await share('user:7');
    await grant([asset]);
    await sql(`insert into asset_acl values ($1, 'user:7', 'WRITE')`, [asset]);
    const found = await world.assets.find(READER, asset);
    expect(permissionsOf(READER, found!)).toEqual(['READ', 'WRITE']);
  });

  it('does not resolve the principal of a feature in the shares of another', async () => {
    await sql('insert into room_members values ($1, $2)', [ROOM, 'user:7']);
    await share(`rooms:${ROOM}`);
    await grant([asset]);
    expect(await world.assets.find(READER, asset)).toBeNull();
  });

  it('gives only READ, even if a row says otherwise', async () => {
    await onlyWithLocation();
    await share('user:7');
    const insert = (permission: string) =>
      sql('insert into asset_acl values ($1, $2, $3::permission)', [asset, 'folders:7', permission]);
    await expect(insert('WRITE')).rejects.toThrow('asset_acl_others_read_check');
    const [{ definition }] = (
      await sql(`select pg_get_constraintdef(oid) as definition from pg_constraint
        where conname = 'asset_acl_others_read_check'`)
    ).rows as [{ definition: string }];
    await sql('alter table asset_acl drop constraint asset_acl_others_read_check');
    try {
      for (const permission of ['WRITE', 'DELETE']) {
        await insert(permission);
        expect(await seenBy(READER)).toEqual(seen('READ'));
      }
      await sql('delete from asset_acl');
    } finally {
      await sql(`alter table asset_acl add constraint asset_acl_others_read_check ${definition}`);
    }
  });

  it('ignores malformed principals', async () => {
    const malformed = [
      'folders:',
      'folders:x',
      `folders:${'9'.repeat(30)}`,
      'folders:7 ',
      'rooms:7',
      'Folders:7',
    ];
    for (const principal of malformed) {
      await sql(`insert into asset_acl values ($1, $2, 'READ')`, [asset, principal]);
    }
    await share('user:7');
    expect(await world.assets.find(READER, asset)).toBeNull();
    await grant([asset]);
    expect(await world.assets.find(READER, asset)).not.toBeNull();
  });

  describe('grant', () => {
    it('writes nothing for assets of others, missing assets and invalid ids', async () => {
      const foreign = await storeAsset(world.database, { ownerId: 7n });
      expect(await grant([foreign, ROOM, 'no id', asset, asset])).toEqual([asset]);
      expect(await grant([asset], { ownerId: 7n })).toEqual([]);
      expect(await grant([])).toEqual([]);
      expect(await rows()).toMatchObject([
        { assetId: asset, principal: 'folders:7', permission: 'READ', expiresAt: null },
      ]);
    });

    it('does not let a reader grant', async () => {
      await share('user:7');
      await grant([asset]);
      await share('user:8', null, 8);
      expect(await grant([asset], { ownerId: READER.ownerId, principal: 'folders:8' })).toEqual([]);
      expect(await world.assets.find(STRANGER, asset)).toBeNull();
    });

    it('may be repeated, and replaces the expiry', async () => {
      for (const expiresAt of [undefined, FUTURE, FUTURE, undefined]) {
        expect(await grant([asset], { expiresAt })).toEqual([asset]);
        expect(await rows()).toMatchObject([{ principal: 'folders:7', expiresAt: expiresAt ?? null }]);
      }
    });

    it.each([
      'albums:7',
      'user:7',
      'group:staff',
      '*',
      'folders',
      'folders:',
      'folders:07',
      'rooms:7',
      'folders:7;',
    ])('refuses %s', async (principal) => {
      const refused = 'No principal source has this principal.';
      await expect(grant([asset], { principal })).rejects.toThrow(refused);
      const { database } = world;
      await expect(database.transaction((tx) => grants.revoke(tx, principal, [asset]))).rejects.toThrow(
        refused,
      );
      await expect(database.transaction((tx) => grants.revokeAll(tx, principal))).rejects.toThrow(refused);
      expect(await rows()).toEqual([]);
    });

    it('refuses more assets than one batch', async () => {
      const ids = Array.from({ length: FEATURE_GRANT_BATCH + 1 }, () => asset);
      await expect(grant(ids)).rejects.toThrow(/^One call accepts 1000 assets, not 1001\.$/);
      expect(await grant(ids.slice(1))).toEqual([asset]);
    });

    const fill = (count: number, expiresAt: Date | null = null) =>
      sql(
        `insert into asset_acl select $1, 'folders:' || 100 + n, 'READ', $3 from generate_series(1, $2) n`,
        [asset, count, expiresAt],
      );

    it('refuses more grants on one asset than its limit, and writes none', async () => {
      const other = await storeAsset(world.database);
      await fill(MAX_FEATURE_GRANTS - 1);
      await sql(`insert into asset_acl select $1, 'user:' || n, 'READ' from generate_series(1, $2) n`, [
        asset,
        MAX_GRANTS,
      ]);
      expect(await grant([asset])).toEqual([asset]);
      await expect(grant([other, asset], { principal: 'folders:8' })).rejects.toMatchObject({
        kind: 'invalid',
        reason: 'GRANT_LIMIT',
      });
      expect(await grant([asset], { expiresAt: FUTURE })).toEqual([asset]);
      expect(await rows()).toHaveLength(MAX_GRANTS + MAX_FEATURE_GRANTS);
      const { acl } = (await world.assets.details([asset])).get(asset)!;
      expect(acl).toHaveLength(MAX_GRANTS + MAX_FEATURE_GRANTS);
      expect(acl).toContainEqual({ principal: 'folders:7', permission: 'READ', expiresAt: FUTURE });
    });

    it('removes expired grants to features, which do not count towards the limit', async () => {
      await fill(MAX_FEATURE_GRANTS, PAST);
      await sql(`insert into asset_acl values ($1, 'user:9', 'READ', $2)`, [asset, PAST]);
      await sql(`insert into asset_acl values ($1, 'folders:8', 'READ', $2)`, [asset, FUTURE]);
      expect(await grant([asset])).toEqual([asset]);
      expect((await rows()).map(({ principal }) => principal)).toEqual(['folders:7', 'folders:8', 'user:9']);
    });

    it('keeps the limit when two transactions grant together', async () => {
      await fill(MAX_FEATURE_GRANTS - 1);
      const outcomes = await Promise.allSettled(
        Array.from({ length: 8 }, (_, index) => grant([asset], { principal: `folders:${index}` })),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await rows()).toHaveLength(MAX_FEATURE_GRANTS);
    });
  });

  describe('with a concurrent purge', () => {
    let other: pg.Client;
    beforeEach(async () => {
      other = new pg.Client({ connectionString: world.testDatabase.url });
      await other.connect();
    });
    const purge = () => other.query('delete from media_assets where asset_id = $1', [asset]);
    const oneWaits = () =>
      until('a statement waits for a lock', async () => {
        const { rows } = await sql(`select 1 from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`);
        return rows.length > 0 || null;
      });

    it('grants nothing on an asset that is purged meanwhile', async () => {
      try {
        await other.query('begin');
        await purge();
        const granted = grant([asset]);
        await oneWaits();
        await other.query('commit');
        expect(await granted).toEqual([]);
        expect(await rows()).toEqual([]);
      } finally {
        await other.end();
      }
    });

    it('leaves no grant on an asset that is purged afterwards', async () => {
      try {
        const purged = await world.database.transaction(async (tx) => {
          await grants.grant(tx, { ownerId: 42n, principal: 'folders:7', assetIds: [asset] });
          const waiting = purge();
          await oneWaits();
          return [waiting];
        });
        expect(await purged[0]).toMatchObject({ rowCount: 1 });
        expect(await rows()).toEqual([]);
      } finally {
        await other.end();
      }
    });
  });

  describe('removal', () => {
    const principals = async () => (await rows()).map(({ principal }) => principal);

    it('revokes the grants on the given assets only, and may be repeated', async () => {
      const other = await storeAsset(world.database, { readers: ['user:7'] });
      await grant([asset, other]);
      for (let times = 0; times < 2; times++) {
        await world.database.transaction((tx) => grants.revoke(tx, 'folders:7', [other, ROOM, 'no id']));
        expect((await principals()).sort()).toEqual(['folders:7', 'user:7']);
      }
    });

    it('revokes all grants in bounded batches', async () => {
      await sql(
        `insert into media_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
          checksum_sha256, status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at)
        select lpad(to_hex(n), 32, '0')::uuid, 42, 'b', 'k', 'f', 'text/plain', 'text/plain', 1, repeat('0', 64), 'PENDING', 'PUT',
          'r', now(), now(), now(), now(), now() from generate_series(1, $1) n`,
        [FEATURE_GRANT_BATCH + 1],
      );
      await sql(
        `insert into asset_acl select asset_id, 'folders:7', 'READ' from media_assets where status = 'PENDING'`,
      );
      await grant([asset], { principal: 'folders:77' });
      const revoked: number[] = [];
      do revoked.push(await world.database.transaction((tx) => grants.revokeAll(tx, 'folders:7')));
      while (revoked.at(-1)! > 0);
      expect(revoked).toEqual([FEATURE_GRANT_BATCH, 1, 0]);
      expect(await principals()).toEqual(['folders:77']);
      const { rows: plan } = await world.database.pool.query<{ 'QUERY PLAN': string }>(
        `explain select * from asset_acl where principal = 'folders:7' and principal <> '*'
          and principal not like 'user:%' and principal not like 'group:%' order by asset_id limit 10`,
      );
      expect(JSON.stringify(plan)).toContain('asset_acl_features_idx');
    });

    it('clears the grants of all features, and keeps those of the access list', async () => {
      const other = await storeAsset(world.database);
      await grant([asset, other]);
      await grant([asset], { principal: `rooms:${ROOM}` });
      for (const principal of ['user:7', 'group:staff', '*', 'removed-feature:1']) {
        await sql(`insert into asset_acl values ($1, $2, 'READ')`, [asset, principal]);
      }
      await world.database.transaction((tx) => grants.clear(tx, [asset]));
      expect((await principals()).sort()).toEqual(['*', 'folders:7', 'group:staff', 'user:7']);
    });
  });

  it('refuses the principals of features in the access lists of clients', async () => {
    const acl = [{ principal: 'folders:7', permissions: ['READ' as const] }];
    await expect(world.request('x', { acl })).rejects.toMatchObject({ reason: 'PRINCIPAL_INVALID' });
    await expect(world.request('x', { acl }, actor(42n, { isAdmin: true }))).rejects.toMatchObject({
      reason: 'PRINCIPAL_INVALID',
    });
  });

  it('serves processes with other sources and without any at the same time', async () => {
    await using without = await World.start();
    await using rooms = await World.start({ features: [sharesFeature(ROOM_SHARES)] });
    expect(without.module.get(PrincipalSources, { strict: false })).toMatchObject({
      suffix: '',
      sources: [],
    });
    const ids = await Promise.all(
      [world, without, rooms].map(async (each) => {
        const id = await storeAsset(each.database, { readers: ['folders:7', `rooms:${ROOM}`] });
        const others = await storeAsset(each.database, { readers: ['user:7'] });
        return [id, others];
      }),
    );
    await share('user:7');
    const readable = () =>
      Promise.all(
        [world, without, rooms].map(async (each, index) =>
          (await each.assets.findAll(READER, ids[index]!)).map(({ id }) => ids[index]!.indexOf(id)),
        ),
      );
    expect(await readable()).toEqual([[0, 1], [1], [1]]);
    await rooms.database.pool.query('insert into room_members values ($1, $2)', [ROOM, 'user:7']);
    expect(await readable()).toEqual([[0, 1], [1], [0, 1]]);
    expect(await without.assets.find(OWNER, ids[1]![0]!)).not.toBeNull();
  });

  describe('a source whose table does not fit fails the start', () => {
    const start = async (options: object) => {
      const contributions = { classes: () => [{ options: { ...FOLDERS, ...options }, source: 'Shares' }] };
      await new PrincipalSources(contributions as never, world.database).onModuleInit();
    };
    beforeAll(() =>
      sql(`create table unindexed (folder_id bigint, principal text, expires_at timestamptz);
        create unique index on unindexed (folder_id, principal) where expires_at is null;
        create unique index on unindexed (folder_id, principal, expires_at);
        create index on unindexed (folder_id, principal);
        create table included (folder_id bigint, principal text, expires_at timestamptz);
        create unique index on included (principal, folder_id) include (expires_at)`),
    );

    it.each<[object, string | null]>([
      [{}, null],
      [{ table: 'included' }, null],
      [{ table: 'missing' }, 'a column folder_id of type bigint in the table missing'],
      [{ id: 'album' }, 'a column album of type bigint in the table folder_shares'],
      [{ idType: 'uuid' }, 'a column folder_id of type uuid in the table folder_shares'],
      [{ principal: 'folder_id' }, 'a column folder_id of type text in the table folder_shares'],
      [
        { expiresAt: 'principal' },
        'a column principal of type timestamp with time zone in the table folder_shares',
      ],
      [{ table: 'unindexed' }, 'a unique index on folder_id and principal in the table unindexed'],
    ])('%j', async (options, need) => {
      const message = await start(options).then(
        () => null,
        (error: Error) => error.message,
      );
      expect(message).toBe(need && `The principal source folders needs ${need}.`);
    });
  });
});
