import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { AccessExplanationsService, ExpiredGrantsService } from '#libs/access';
import { AssetGrantsService } from '#libs/assets';
import { Contributions, TASKS } from '#libs/runtime';
import { EXPIRED_GRANT_BATCH } from '../../../libs/access/src/expired-grants.service.js';
import { actor, storeAsset, World } from '#libs/testing';
import { emptyWorld } from '../../support/empty-world.js';

const NOW = new Date('2026-06-02T12:00:00.000Z');
/** A grant that expired before this time is removed. */
const CUTOFF = new Date('2026-06-01T12:00:00.000Z');
const shifted = (milliseconds: number) => new Date(CUTOFF.getTime() + milliseconds);
const LONG_AGO = new Date('2026-01-01T00:00:00.000Z');

describe('the removal of expired grants (real: PostgreSQL)', () => {
  let world: World;
  let service: ExpiredGrantsService;
  let asset: string;
  beforeAll(async () => {
    world = await World.start();
    service = world.module.get(ExpiredGrantsService, { strict: false });
  });
  beforeEach(async () => {
    jest.restoreAllMocks();
    await emptyWorld(world);
    asset = await storeAsset(world.database);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const run = (signal = new AbortController().signal) => service.removeExpired({ now: NOW, signal });
  const sql = (text: string, values: unknown[] = []) =>
    world.database.pool.query<{ principal: string }>(text, values);
  const grant = (principal: string, expiresAt: Date | null) =>
    sql(`insert into asset_acl values ($1, $2, 'READ', $3)`, [asset, principal, expiresAt]);
  const fill = (count: number, expiresAt = LONG_AGO) =>
    sql(
      `insert into asset_acl (asset_id, principal, permission, expires_at)
        select $1, 'user:' || n, 'READ', $3::timestamptz from generate_series(1, $2) n`,
      [asset, count, expiresAt],
    );
  const principals = async () =>
    (await sql('select principal from asset_acl order by principal')).rows.map(({ principal }) => principal);
  const extend = (principal: string, expiresAt: Date | null = null) =>
    [
      'update asset_acl set expires_at = $2 where principal = $1',
      [principal, expiresAt] as unknown[],
    ] as const;

  it('is a task of the worker', () => {
    const names = world.module
      .get(Contributions, { strict: false })
      .methods(TASKS)
      .map(({ options }) => options.name);
    expect(names.filter((name) => name === 'expired-grants')).toHaveLength(1);
  });

  it('removes grants of callers and features a day after their expiry, and no other', async () => {
    await grant('user:1', LONG_AGO);
    await grant('*', shifted(-1));
    await grant('albums:1', shifted(-1));
    await grant('user:2', CUTOFF);
    await grant('group:recent', shifted(1));
    await grant('user:3', new Date('2100-01-01'));
    await grant('user:4', null);
    expect(await run()).toBe(3);
    expect(await principals()).toEqual(['group:recent', 'user:2', 'user:3', 'user:4']);
    expect(await run()).toBe(0);
  });

  it('lets an explanation name a grant that ended less than a day ago', async () => {
    const explain = () =>
      world.module
        .get(AccessExplanationsService, { strict: false })
        .explain(asset, ['user:7'], 'READ')
        .then(({ because }) => because);
    await grant('user:7', shifted(1));
    await run();
    expect(await explain()).toEqual([`EXPIRED user:7 READ until ${shifted(1).toISOString()}`]);
    await sql(...extend('user:7', shifted(-1)));
    await run();
    expect(await explain()).toEqual(['NO_GRANT']);
  });

  it('removes many grants in bounded batches', async () => {
    await fill(2 * EXPIRED_GRANT_BATCH + 5);
    await grant('group:kept', null);
    const query = jest.spyOn(world.database, 'query');
    expect(await run()).toBe(2 * EXPIRED_GRANT_BATCH + 5);
    const counts = await Promise.all(
      query.mock.results.map(async ({ value }) => ((await value) as [{ removed: number }])[0].removed),
    );
    expect(counts).toEqual([EXPIRED_GRANT_BATCH, EXPIRED_GRANT_BATCH, 5]);
    expect(await principals()).toEqual(['group:kept']);
  });

  it('removes the grants that expired first, first', async () => {
    await fill(EXPIRED_GRANT_BATCH, shifted(-10));
    await grant('group:first', shifted(-20));
    await grant('group:last', shifted(-5));
    const aborter = new AbortController();
    const query = world.database.query.bind(world.database);
    jest.spyOn(world.database, 'query').mockImplementation((...values) => {
      aborter.abort();
      return query(...values);
    });
    expect(await run(aborter.signal)).toBe(EXPIRED_GRANT_BATCH);
    const left = await principals();
    expect(left).toHaveLength(2);
    expect(left[0]).toBe('group:last');
  });

  it('does not start a batch after an abort', async () => {
    await grant('user:1', LONG_AGO);
    expect(await run(AbortSignal.abort())).toBe(0);
    expect(await principals()).toEqual(['user:1']);
  });

  it('skips a grant that is being extended, and keeps the extension', async () => {
    await fill(3);
    const client = await world.database.pool.connect();
    try {
      await client.query('begin');
      await client.query(...extend('user:2'));
      expect(await run()).toBe(2);
      await client.query('commit');
    } finally {
      client.release(true);
    }
    expect(await principals()).toEqual(['user:2']);
    expect(await run()).toBe(0);
    expect(await principals()).toEqual(['user:2']);
  });

  it('keeps every grant that a client renews at the same time', async () => {
    const grants = world.module.get(AssetGrantsService, { strict: false });
    const assets = await Promise.all(Array.from({ length: 20 }, () => storeAsset(world.database)));
    await sql(
      `insert into asset_acl (asset_id, principal, permission, expires_at)
        select id, 'user:7', 'READ', $2 from unnest($1::uuid[]) id`,
      [assets, LONG_AGO],
    );
    await Promise.all(
      assets.flatMap((assetId) => [
        grants.grant(actor(42n), { assetId, principal: 'user:7', permissions: ['READ'] }),
        run(),
      ]),
    );
    expect(await run()).toBe(0);
    expect(await principals()).toHaveLength(assets.length);
  });
});
