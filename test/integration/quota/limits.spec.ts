import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StowageError } from '#libs/domain';
import { actor, requestFor, sha256, World } from '../../../libs/testing/src/world.js';

const DEFAULTS = { limitBytes: 1_000_000, limitAssets: 1_000 };
const NO_USAGE = { usedBytes: 0, reservedBytes: 0, usedAssets: 0, reservedAssets: 0 };

describe('limits of an owner (real: PostgreSQL)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ quotaBytes: DEFAULTS.limitBytes, quotaAssets: DEFAULTS.limitAssets });
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  /** Requests uploads of ten bytes each at the same time. @returns the number of accepted ones */
  async function accepted(ownerId: bigint, count: number): Promise<number> {
    const requests = Array.from({ length: count }, (_, index) =>
      world.request('x'.repeat(10), { checksumSha256: sha256(`${ownerId} ${index}`) }, actor(ownerId)),
    );
    const outcomes = await Promise.allSettled(requests);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      expect((outcome.reason as StowageError).reason).toBe('QUOTA_EXCEEDED');
    }
    return outcomes.filter(({ status }) => status === 'fulfilled').length;
  }

  it('are the defaults until an operator sets them, also for an owner without uploads', async () => {
    expect(await world.quotas.of(1n)).toEqual({ ...DEFAULTS, ...NO_USAGE });
    const limits = { limitBytes: 2 ** 53 - 1, limitAssets: 2 ** 31 - 1 };
    for (let time = 0; time < 2; time++) {
      expect(await world.quotas.setLimits(1n, limits)).toEqual({ ...limits, ...NO_USAGE });
    }
    expect(await world.quotas.of(1n)).toEqual({ ...limits, ...NO_USAGE });
    expect(await accepted(1n, 1)).toBe(1);
  });

  it('keep stored usage and refuse new uploads when they are lowered below it', async () => {
    expect(await accepted(2n, 5)).toBe(5);
    const lowered = await world.quotas.setLimits(2n, { limitBytes: 20, limitAssets: 2 });
    expect(lowered).toMatchObject({ limitBytes: 20, reservedBytes: 50, reservedAssets: 5 });
    expect(await accepted(2n, 1)).toBe(0);
    await world.quotas.setLimits(2n, { limitBytes: 60, limitAssets: 6 });
    expect(await accepted(2n, 3)).toBe(1);
  });

  it('may be higher or lower than the defaults for the first upload', async () => {
    await world.quotas.setLimits(3n, { limitBytes: 5, limitAssets: 10 });
    expect(await accepted(3n, 1)).toBe(0);
    await world.quotas.setLimits(4n, { limitBytes: 2 * DEFAULTS.limitBytes, limitAssets: 1 });
    const request = requestFor('', { sizeBytes: DEFAULTS.limitBytes + 1 });
    await world.uploads.request(actor(4n), request, 'test');
    expect(await world.quotas.of(4n)).toMatchObject({ reservedBytes: DEFAULTS.limitBytes + 1 });
  });

  it('hold at once for 50 concurrent requests', async () => {
    await world.quotas.setLimits(5n, { limitBytes: 250, limitAssets: 100 });
    expect(await accepted(5n, 50)).toBe(25);
    await world.quotas.setLimits(6n, { limitBytes: 1_000, limitAssets: 7 });
    expect(await accepted(6n, 50)).toBe(7);
  });

  it('hold for every request that begins after a concurrent change', async () => {
    await world.quotas.setLimits(7n, { limitBytes: 1_000, limitAssets: 50 });
    const racing = accepted(7n, 50);
    const { reservedAssets } = await world.quotas.setLimits(7n, { limitBytes: 1_000, limitAssets: 10 });
    const total = await racing;
    // Requests that reserved before the change may exceed the new limit; none does so after it.
    expect(total).toBe(Math.max(10, reservedAssets));
    expect(await world.quotas.of(7n)).toMatchObject({ reservedAssets: total, reservedBytes: 10 * total });
    expect(await accepted(7n, 5)).toBe(0);
  });

  it.each([
    { limitBytes: -1, limitAssets: 1 },
    { limitBytes: 1, limitAssets: -1 },
  ])('reject %j', async (limits) => {
    await expect(world.quotas.setLimits(8n, limits)).rejects.toMatchObject({ reason: 'NUMBER_INVALID' });
    expect(await world.quotas.of(8n)).toEqual({ ...DEFAULTS, ...NO_USAGE });
  });
});
