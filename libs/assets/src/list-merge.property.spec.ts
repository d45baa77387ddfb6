import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Batch, comparisonOf, type ListPosition, type Merged, mergeStreams } from './list-merge.js';

/** An entry of a stream, which matches the filter or not. */
interface Entry {
  readonly position: ListPosition;
  readonly matches: boolean;
}

const idOf = (n: number) => n.toString(16).padStart(32, '0');
/** Several assets share a key, as they share a creation time. */
const positionOf = (asset: number): ListPosition => ({ key: BigInt(Math.floor(asset / 3)), id: idOf(asset) });

/** Streams that share assets; an asset may match in one stream only, like one with an expired and a valid grant. */
const streamsOf = fc.array(
  fc.uniqueArray(fc.record({ asset: fc.nat(150), matches: fc.boolean() }), {
    maxLength: 60,
    selector: ({ asset }) => asset,
  }),
  { maxLength: 12 },
);

class Streams {
  readonly compare;
  /** Entries read by each page. */
  examined = 0;
  fetches = 0;
  private readonly streams: readonly (readonly Entry[])[];

  constructor(
    streams: readonly (readonly { asset: number; matches: boolean }[])[],
    direction: 'asc' | 'desc',
  ) {
    this.compare = comparisonOf(direction);
    this.streams = streams.map((entries) =>
      entries
        .map(({ asset, matches }) => ({ position: positionOf(asset), matches }))
        .sort((a, b) => this.compare(a.position, b.position)),
    );
  }

  /** The whole list, sorted by the test itself. */
  get all(): readonly ListPosition[] {
    const matching = this.streams.flat().filter(({ matches }) => matches);
    const byId = new Map(matching.map(({ position }) => [position.id, position]));
    return [...byId.values()].sort(this.compare);
  }

  page(after: ListPosition | null, limit: number, budget: number): Promise<Merged> {
    this.examined = 0;
    this.fetches = 0;
    return mergeStreams({
      streams: this.streams.length,
      after,
      limit,
      budget,
      compare: this.compare,
      fetch: (refills, size) => {
        this.fetches++;
        const batches = refills.map(({ stream, after: from }): Batch => {
          const rest = this.streams[stream]!.filter(
            ({ position }) => from === null || this.compare(position, from) > 0,
          );
          const read = rest.slice(0, size);
          this.examined += read.length;
          const matching = read.filter(({ matches }) => matches).map(({ position }) => position);
          return { matching, examined: read.length, last: read.at(-1)?.position ?? null };
        });
        return Promise.resolve(batches);
      },
    });
  }
}

describe('mergeStreams', () => {
  it('finds each matching asset once, in order, within the budget of each page, in both directions', async () => {
    await fc.assert(
      fc.asyncProperty(
        streamsOf,
        fc.constantFrom('asc' as const, 'desc' as const),
        fc.integer({ min: 1, max: 30 }),
        fc.nat(100),
        async (entries, direction, limit, more) => {
          const streams = new Streams(entries, direction);
          const budget = entries.length + more;
          const { all } = streams;
          const seen: ListPosition[] = [];
          for (let after: ListPosition | null = null; ;) {
            const { found, stoppedAt }: Merged = await streams.page(after, limit, budget);
            expect(streams.examined).toBeLessThanOrEqual(budget);
            expect(found.length).toBeLessThanOrEqual(limit);
            seen.push(...found);
            // A full page has no other position than its last entry.
            if (found.length === limit) expect(stoppedAt).toBeNull();
            const next: ListPosition | null = stoppedAt ?? (found.length === limit ? found.at(-1)! : null);
            if (stoppedAt !== null) {
              // All that matches up to the position is found, and each page advances.
              expect(seen).toEqual(all.filter((position) => streams.compare(position, stoppedAt) <= 0));
              if (after !== null) expect(streams.compare(stoppedAt, after)).toBeGreaterThan(0);
            }
            if (next === null) break;
            after = next;
          }
          expect(seen).toEqual(all);
        },
      ),
      { numRuns: 300 },
    );
  });

  const matching = (assets: number[]) => assets.map((asset) => ({ asset, matches: true }));

  it('reads a page of few streams at once', async () => {
    const entries = [0, 1, 2, 3].map((n) => matching(Array.from({ length: 500 }, (_, i) => 4 * i + n)));
    const streams = new Streams(entries, 'desc');
    const { found } = await streams.page(null, 101, 2_000);
    expect(found).toEqual(streams.all.slice(0, 101));
    expect(streams.fetches).toBe(1);
  });

  it('fills a page from one of 201 streams', async () => {
    const others = Array.from({ length: 200 }, (_, n) => matching([10_000 + n]));
    const streams = new Streams([matching(Array.from({ length: 500 }, (_, i) => i)), ...others], 'asc');
    const { found } = await streams.page(null, 101, 2_000);
    expect(found).toHaveLength(101);
    expect(streams.fetches).toBe(2);
  });

  it('reads the whole budget in few steps when no entry matches', async () => {
    const none = Array.from({ length: 5_000 }, (_, asset) => ({ asset, matches: false }));
    const streams = new Streams([none], 'asc');
    const { found, stoppedAt } = await streams.page(null, 21, 2_000);
    expect([found, stoppedAt]).toEqual([[], positionOf(1_999)]);
    expect(streams.fetches).toBeLessThanOrEqual(3);
    expect(streams.examined).toBe(2_000);
  });

  it.each([2, 11, 21])(
    'reads a near stream without matches in few steps, %s entries a page',
    async (limit) => {
      const near = Array.from({ length: 5_000 }, (_, asset) => ({ asset, matches: false }));
      const far = Array.from({ length: 200 }, (_, n) => matching([10_000 + n]));
      const streams = new Streams([near, ...far], 'asc');
      await streams.page(null, limit, 2_000);
      expect(streams.fetches).toBeLessThanOrEqual(12);
    },
  );

  it('refuses more streams than entries in the budget', async () => {
    const streams = new Streams([matching([1]), matching([2])], 'asc');
    await expect(streams.page(null, 1, 1)).rejects.toThrow('budget');
  });
});

describe('comparisonOf', () => {
  it('orders texts as the collation "C" does', () => {
    const names = ['a', 'B', '\uffee', '\u{10000}', 'a\u0301', ''];
    const byBytes = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const sorted = names.map((key) => ({ key, id: idOf(0) })).sort(comparisonOf('asc'));
    expect(sorted.map(({ key }) => key)).toEqual(byBytes);
    expect(byBytes.indexOf('\uffee')).toBeLessThan(byBytes.indexOf('\u{10000}'));
  });

  it('orders equal keys by id', () => {
    const at = new Date(0);
    const [a, b] = [1, 2].map((n) => ({ key: new Date(at), id: idOf(n) }));
    expect(comparisonOf('asc')(a!, b!)).toBeLessThan(0);
    expect(comparisonOf('desc')(a!, b!)).toBeGreaterThan(0);
  });
});
