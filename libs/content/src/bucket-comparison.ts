import type { ObjectStat } from '#libs/storage';

/** A key with its object in the bucket and its row, at least one of which exists. */
export interface Pair<Row> {
  readonly key: string;
  readonly object: ObjectStat | null;
  readonly row: Row | null;
}

/** Reads a page in the order of {@link compareKeys}: the entries after a key, from the first one for an empty key. */
type ReadPage<Entry> = (after: string, limit: number) => Promise<Entry[]>;

/** The order in which stores list keys, and that of the collation "C": the bytes of their UTF-8. */
export const compareKeys = (a: string, b: string) =>
  a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The entries of one side. It holds one page. */
class Side<Entry extends { readonly key: string }> {
  private page: Entry[] = [];
  private at = 0;
  private hasMore = true;

  constructor(
    private readonly read: ReadPage<Entry>,
    private readonly limit: number,
    private after: string,
  ) {}

  get head(): Entry | undefined {
    return this.page[this.at];
  }

  /** Whether the next entry is unknown until {@link fill}. */
  get isDrained(): boolean {
    return this.head === undefined && this.hasMore;
  }

  async fill(): Promise<void> {
    if (!this.isDrained) return;
    this.page = await this.read(this.after, this.limit);
    this.at = 0;
    this.hasMore = this.page.length >= this.limit;
    this.after = this.page.at(-1)?.key ?? this.after;
  }

  take(): Entry {
    return this.page[this.at++]!;
  }
}

/**
 * Merges the listing of a bucket with the rows that record its objects. Reads both in pages and holds one page of each.
 * @param limit entries of a page
 * @param after the last key that was compared before; empty for none
 * @returns the pairs in the order of their keys, in groups of at most two pages
 */
export async function* comparePages<Row extends { readonly key: string }>(
  readObjects: ReadPage<ObjectStat>,
  readRows: ReadPage<Row>,
  limit: number,
  after: string,
): AsyncGenerator<Pair<Row>[]> {
  const objects = new Side(readObjects, limit, after);
  const rows = new Side(readRows, limit, after);
  for (;;) {
    // The listing comes first: the row of an object is written before the object.
    await objects.fill();
    await rows.fill();
    const pairs: Pair<Row>[] = [];
    while (!objects.isDrained && !rows.isDrained) {
      const next = nextPair(objects, rows);
      if (next === null) break;
      pairs.push(next);
    }
    if (pairs.length === 0) return;
    yield pairs;
  }
}

function nextPair<Row extends { readonly key: string }>(
  objects: Side<ObjectStat>,
  rows: Side<Row>,
): Pair<Row> | null {
  const { head: object } = objects;
  const { head: row } = rows;
  if (object === undefined && row === undefined) return null;
  const order = object === undefined ? 1 : row === undefined ? -1 : compareKeys(object.key, row.key);
  const { key } = order > 0 ? row! : object!;
  return { key, object: order <= 0 ? objects.take() : null, row: order >= 0 ? rows.take() : null };
}
