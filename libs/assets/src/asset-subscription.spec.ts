import { describe, expect, it } from '@jest/globals';
import type { Clock, Notifications } from '#libs/database';
import { type Actor, unavailable } from '#libs/domain';
import { AssetFeed } from '#libs/events';
import { KeyedRateLimiter } from '#libs/runtime';
import type { Asset } from './asset.js';
import { AssetSubscription } from './asset-subscription.js';
import type { OwnerRead, OwnerReads, ReadCause } from './owner-reads.js';

const READER: Actor = { ownerId: 7n, groups: [], isAdmin: false };
const END = { done: true, value: undefined };
const WITHOUT_CONNECTION = { listen: () => undefined, isListening: true } as unknown as Notifications;

/** An asset that the reader may read by a share. */
const asset = (id: string, version = 1) =>
  ({
    id,
    ownerId: 42n,
    status: 'READY',
    version,
    updatedAt: new Date(0),
    granted: [{ permission: 'READ', until: null, byShare: true }],
  }) as unknown as Asset;

/** Records the reads, so that a test answers or fails each of them explicitly. */
class Reads {
  /** Answers reads at once. */
  current: readonly Asset[] | undefined;
  readonly all: {
    ids: readonly string[];
    cause: ReadCause;
    answer: (...assets: Asset[]) => void;
    fail: (error: Error) => void;
  }[] = [];

  read(_: Actor, ids: readonly string[], cause: ReadCause): Promise<OwnerRead> {
    const { current } = this;
    if (current !== undefined) {
      const assets = current.filter(({ id }) => ids.includes(id));
      return Promise.resolve({ assets, readAt: performance.now() });
    }
    return new Promise((resolve, fail) => {
      const answer = (...assets: Asset[]) => resolve({ assets, readAt: performance.now() });
      this.all.push({ ids, cause, answer, fail });
    });
  }

  /** Waits for the first unanswered read of this cause. */
  async next(cause: ReadCause) {
    for (;;) {
      const index = this.all.findIndex((each) => each.cause === cause);
      if (index >= 0) return this.all.splice(index, 1)[0]!;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

describe('AssetSubscription', () => {
  /** A subscription that has sent its first states. */
  async function start(...of: (string | Asset)[]) {
    const assets = of.map((each) => (typeof each === 'string' ? asset(each) : each));
    const ids = assets.map(({ id }) => id);
    const watch = new AssetFeed(WITHOUT_CONNECTION).watch(ids);
    const reads = new Reads();
    const found = { assets, readAt: performance.now() };
    const states = new AssetSubscription(READER, watch, found, {
      reads: reads as unknown as OwnerReads,
      rateLimiter: new KeyedRateLimiter<bigint>(1_000),
      clock: { now: () => new Date() } as Clock,
    }).iterate();
    // On a slow machine a state is read again before it is sent.
    reads.current = found.assets;
    for (const id of ids) expect(await states.next()).toMatchObject({ value: { id } });
    reads.current = undefined;
    return { watch, reads, states };
  }

  it('reads a changed asset while a read of shares waits, and only that asset', async () => {
    const { watch, reads, states } = await start('a', 'b');
    const next = states.next();
    const waiting = await reads.next('shares');
    expect(waiting.ids).toEqual(['a', 'b']);
    watch.notify('b');
    const changed = await reads.next('change');
    expect(changed.ids).toEqual(['b']);
    changed.answer(asset('b', 2));
    expect(await next).toMatchObject({ value: { id: 'b', version: 2 } });
    const last = states.next();
    waiting.answer();
    expect(await last).toEqual(END);
  });

  it('reads again, without a notification, after the database was unavailable', async () => {
    const { watch, reads, states } = await start('a', 'b');
    const next = states.next();
    watch.notify('a');
    (await reads.next('change')).fail(unavailable('DATABASE_UNAVAILABLE', 'down'));
    const again = await reads.next('change');
    expect(again.ids).toEqual(['a']);
    again.answer(asset('a', 2));
    expect(await next).toMatchObject({ value: { id: 'a', version: 2 } });
    await states.return?.();
  });

  it('pauses after a read of shares that failed because the database is unavailable', async () => {
    const { reads, states } = await start('a');
    const next = states.next();
    const failing = await reads.next('shares');
    const failedAt = performance.now();
    failing.fail(unavailable('DATABASE_UNAVAILABLE', 'down'));
    const again = await reads.next('shares');
    expect(performance.now() - failedAt).toBeGreaterThan(400);
    again.answer();
    expect(await next).toEqual(END);
  });

  it('reads an asset again when a grant ends, although other grants continue', async () => {
    const expiring = { permission: 'WRITE', until: new Date(Date.now() + 300), byShare: false } as const;
    const first = asset('a');
    const { reads, states } = await start({ ...first, granted: [...first.granted, expiring] });
    const next = states.next();
    const read = await reads.next('change');
    expect(read.ids).toEqual(['a']);
    read.answer(first);
    expect(await next).toMatchObject({ value: { id: 'a', granted: first.granted } });
    await states.return?.();
  });

  it.each<ReadCause>(['change', 'shares'])(
    'fails with an unexpected error of a read for %s',
    async (cause) => {
      const { watch, reads, states } = await start('a');
      const next = states.next();
      const failure = expect(next).rejects.toThrow('a bug');
      if (cause === 'change') watch.notify('a');
      (await reads.next(cause)).fail(new Error('a bug'));
      await failure;
      expect(watch).toHaveProperty('feed.watches', new Map());
    },
  );
});
