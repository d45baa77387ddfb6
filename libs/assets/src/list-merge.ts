/** Keyset position in a list: the value that the list is ordered by, and the asset id. Local times are held as if in UTC. */
export interface ListPosition {
  readonly key: Date | bigint | string;
  readonly id: string;
}

/** Compares the keys of one list as PostgreSQL does, texts by their UTF-8 bytes. */
function compareKeys(a: ListPosition['key'], b: ListPosition['key']): number {
  if (typeof a === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(String(b)));
  return a < b ? -1 : Number(a > b);
}

/** The order of positions in a list of this direction. */
export function comparisonOf(direction: 'asc' | 'desc') {
  const sign = direction === 'asc' ? 1 : -1;
  return (a: ListPosition, b: ListPosition): number =>
    sign * (compareKeys(a.key, b.key) || (a.id < b.id ? -1 : Number(a.id > b.id)));
}

/** Entries of one stream, in the order of the list, behind the position that was asked for. */
export interface Batch {
  /** Positions of the entries that match. */
  readonly matching: readonly ListPosition[];
  /** Number of entries that were read. Fewer than requested means that the stream has ended. */
  readonly examined: number;
  /** Position of the last entry that was read, whether or not it matches; null if none was read. */
  readonly last: ListPosition | null;
}

/** A stream, by its index, and the position behind which its next entries are read; null for the start. */
export interface Refill {
  readonly stream: number;
  readonly after: ListPosition | null;
}

export interface MergeOptions {
  /** Number of streams, at most `budget`. */
  readonly streams: number;
  readonly after: ListPosition | null;
  readonly limit: number;
  /** Entries that are read at most, of all streams together. */
  readonly budget: number;
  readonly compare: (a: ListPosition, b: ListPosition) => number;
  /** Reads up to `size` entries of each of these streams; returns batches in the order of the refills. */
  readonly fetch: (refills: readonly Refill[], size: number) => Promise<readonly Batch[]>;
}

export interface Merged {
  /** Positions of matching entries in the order of the list, each asset once. */
  readonly found: readonly ListPosition[];
  /** Set if the budget was used up first: all matching entries up to this position are found, and the list may continue behind it. */
  readonly stoppedAt: ListPosition | null;
}

interface Stream {
  readonly index: number;
  /** Position up to which the stream was read. */
  reached: ListPosition | null;
  ended: boolean;
}

/** Up to this number, all streams that hold up the merge are read together. */
const FEW_STREAMS = 8;

/**
 * Merges ordered streams of index entries into one page. An entry is found once all streams have been read up to it. Streams that
 * hold up the merge are read again, with batches that grow as fewer entries match.
 * @throws Error if there are more streams than entries in the budget
 */
export async function mergeStreams(options: MergeOptions): Promise<Merged> {
  const { limit, budget, compare, fetch } = options;
  if (options.streams > budget) throw new Error('A merge needs one entry of its budget for each stream.');
  const streams = Array.from({ length: options.streams }, (_, index): Stream => ({
    index,
    reached: options.after,
    ended: false,
  }));
  const found = new Map<string, ListPosition>();
  let waiting: ListPosition[] = [];
  let remaining = budget;
  let behind = streams;
  while (behind.length > 0 && remaining > 0) {
    const asked = behind.slice(0, remaining);
    // Half of the budget is kept while several streams are read, because the next read needs fewer of them.
    const share = Math.floor(remaining / asked.length / (asked.length * limit > remaining ? 2 : 1));
    const missing = limit - found.size;
    const expected = Math.ceil((missing * (budget - remaining + 1)) / (found.size + waiting.length + 1));
    // Entries that wait far ahead let the expectation stay low, so batches also grow with the entries that were examined.
    const grown = Math.ceil((budget - remaining) / 4 / asked.length);
    const wanted = Math.max(expected, grown);
    const size = Math.max(1, Math.min(asked.length === 1 ? remaining : share, wanted));
    const batches = await fetch(
      asked.map(({ index, reached }) => ({ stream: index, after: reached })),
      size,
    );
    for (const [index, { matching, examined, last }] of batches.entries()) {
      const stream = asked[index]!;
      stream.reached = last ?? stream.reached;
      stream.ended = examined < size;
      remaining -= examined;
      waiting.push(...matching);
    }
    waiting.sort(compare);
    const open = streams.filter(({ ended }) => !ended);
    const frontier = frontierOf(open, compare);
    let taken = 0;
    for (const position of waiting) {
      if (found.size === limit || (frontier !== null && compare(position, frontier) > 0)) break;
      if (!found.has(position.id)) found.set(position.id, position);
      taken++;
    }
    if (found.size === limit) return { found: [...found.values()], stoppedAt: null };
    waiting = waiting.slice(taken);
    behind = behindOf(open, waiting.at(0), compare);
  }
  const stoppedAt = behind.length === 0 ? null : frontierOf(behind, compare);
  return { found: [...found.values()], stoppedAt };
}

type Compare = MergeOptions['compare'];

/** The position up to which all open streams have been read; null if there is none. */
const frontierOf = (open: readonly Stream[], compare: Compare): ListPosition | null =>
  open.reduce<ListPosition | null>(
    (least, { reached }) =>
      reached !== null && (least === null || compare(reached, least) < 0) ? reached : least,
    null,
  );

/**
 * The streams to read next: those not yet read up to the next waiting entry. Of many, only those that are furthest behind, because
 * the entries that a sparse stream has far ahead would be of no use to this page.
 */
function behindOf(open: readonly Stream[], next: ListPosition | undefined, compare: Compare): Stream[] {
  const behind = open.filter(({ reached }) => next === undefined || compare(reached!, next) < 0);
  behind.sort((a, b) => compare(a.reached!, b.reached!));
  return behind.slice(0, Math.max(FEW_STREAMS, Math.ceil(behind.length / 2)));
}
