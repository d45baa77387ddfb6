import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AssetFilter, ListedAsset } from '#libs/assets';
import type { AssetStatus } from '#libs/domain';
import { actor, World } from '../../../libs/testing/src/world.js';

describe('asset reads (real: PostgreSQL)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world[Symbol.asyncDispose]());

  it('answers callers without access as if the asset did not exist', async () => {
    const { id } = await world.request('secret');
    const missing = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
    const answers = await Promise.all(
      [id, missing, 'no id at all'].map((which) =>
        world.assets.get(actor(7n), which, 'DELETE').catch((error: unknown) => error),
      ),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ kind: 'not-found', reason: 'ASSET_NOT_FOUND' });
  });

  it('denies access after a grant expires', async () => {
    const acl = [
      { principal: 'user:7', permissions: ['READ' as const], expiresAt: new Date(Date.now() + 60_000) },
    ];
    const { id } = await world.request('lent', { acl });
    expect(await world.assets.find(actor(7n), id)).not.toBeNull();
    await world.database.prisma.assetAcl.updateMany({
      where: { assetId: id },
      data: { expiresAt: new Date(Date.now() - 1) },
    });
    expect(await world.assets.find(actor(7n), id)).toBeNull();
  });

  it('hides a deleted asset from readers and writers', async () => {
    const permissions = ['READ', 'WRITE', 'DELETE'] as const;
    const acl = permissions.map((permission, index) => ({
      principal: `user:${60 + index}`,
      permissions: [permission],
    }));
    const { id } = await world.request('deleted', { acl });
    await world.removal.delete(actor(), id);
    const callers = [
      ...permissions.map((_, index) => actor(60n + BigInt(index))),
      actor(),
      actor(1n, { isAdmin: true }),
    ];
    const found = await Promise.all(callers.map((caller) => world.assets.find(caller, id)));
    expect(found.map((asset) => asset?.status ?? null)).toEqual([
      null,
      null,
      'DELETED',
      'DELETED',
      'DELETED',
    ]);
    await expect(world.assets.get(actor(61n), id, 'WRITE')).rejects.toMatchObject({ kind: 'not-found' });
    await expect(world.removal.restore(actor(60n), id)).rejects.toMatchObject({ kind: 'not-found' });
  });

  it('lists in both orders without gaps or repeats when creation times are equal', async () => {
    const owner = actor(50n);
    const ids = await Promise.all(
      Array.from({ length: 9 }, (_, index) => world.request(`f${index}`, {}, owner).then(({ id }) => id)),
    );
    await world.database.prisma.mediaAsset.updateMany({
      where: { ownerId: 50n },
      data: { createdAt: new Date('2026-01-01') },
    });
    for (const order of ['asc', 'desc'] as const) {
      const seen: string[] = [];
      for (let after: ListedAsset['position'] | undefined; ;) {
        const { found: page } = await world.assets.list(owner, {
          scope: 'OWN',
          by: 'created',
          filter: { ownerId: 50n },
          statuses: ['PENDING'],
          direction: order,
          after,
          limit: 2,
        });
        seen.push(...page.map(({ asset }) => asset.id));
        const last = page.at(-1);
        if (page.length < 2 || last === undefined) break;
        after = last.position;
      }
      expect(seen).toEqual(order === 'asc' ? [...ids].sort() : [...ids].sort().reverse());
    }
  });

  it('filters by status and creation time', async () => {
    const owner = actor(51n);
    const { asset } = await world.request('x', {}, owner);
    const list = async (filter: AssetFilter, status: AssetStatus = 'PENDING') => {
      const { found } = await world.assets.list(owner, {
        scope: 'OWN',
        by: 'created',
        filter: { ownerId: 51n, ...filter },
        statuses: [status],
        direction: 'asc',
        limit: 10,
      });
      return found;
    };
    expect(await list({})).toHaveLength(1);
    expect(await list({}, 'READY')).toEqual([]);
    expect(await list({ createdAfter: asset.createdAt })).toEqual([]);
    expect(await list({ createdBefore: asset.createdAt })).toEqual([]);
    expect(await list({ createdAfter: new Date(asset.createdAt.getTime() - 1) })).toHaveLength(1);
  });
});
