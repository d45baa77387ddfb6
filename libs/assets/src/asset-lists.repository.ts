import { Injectable } from '@nestjs/common';
import { accessStatement, may, PrincipalSources } from '#libs/access';
import { Database } from '#libs/database';
import { type Actor, principalsOf } from '#libs/domain';
import { type Asset, assetOf, type AssetRow, assetSql } from './asset.js';
import { filterValues } from './asset-filter.js';
import {
  ASSET_KEYS,
  COMPARISONS,
  type Direction,
  ENTRIES,
  type EntryRow,
  hiddenLimit,
  MAX_EXAMINED,
  ORDERS,
  PLAIN_ORDERS,
  type PlainOrder,
  rangeOf,
} from './asset-list-entries.js';
import { type AssetListing, chooseStreams, insiderOf, type OwnListing } from './asset-list-streams.js';
import { FIND_ALL } from './assets.repository.js';
import { type Batch, comparisonOf, type ListPosition, type Merged, mergeStreams } from './list-merge.js';

/** An asset with its position in the list. */
export interface ListedAsset {
  readonly asset: Asset;
  readonly position: ListPosition;
}

/** A page of a list. */
export interface AssetList {
  readonly found: readonly ListedAsset[];
  /** Position at which the page ended before it was full; the list may continue behind it. Null otherwise. */
  readonly stoppedAt: ListPosition | null;
}

type ListRow = AssetRow & { key: ListPosition['key'] };

// Lists without a filter take one statement. The lateral join reads status by status, because then the index yields a page without
// passing over assets of other statuses. Sentinel values replace optional bounds, so that each order has one plan.
const plainOf = (by: PlainOrder, direction: Direction) => {
  const { type } = ORDERS[by];
  const key = ASSET_KEYS[by];
  const [behind, before] = COMPARISONS[direction];
  return accessStatement<ListRow>(
    `assets_list_${by}_${direction}`,
    (granted) => `select ${assetSql(granted('$5'))}, a.list_key as key
    from unnest($7::asset_status[]) as s (status), lateral (
      select m.*, ${key} as list_key from media_assets m
      where m.owner_id = $1 and m.status = s.status
        and (${key}, m.asset_id) ${behind} ($2::${type}, $3::uuid) and ${key} ${before} $4::${type}
      order by ${key} ${direction}, m.asset_id ${direction} limit ${hiddenLimit('$6')}) a
    order by a.list_key ${direction}, a.asset_id ${direction} limit ${hiddenLimit('$6')}`,
  );
};

export const LIST = Object.fromEntries(
  PLAIN_ORDERS.map((by) => [by, { asc: plainOf(by, 'asc'), desc: plainOf(by, 'desc') }]),
) as Record<PlainOrder, Record<Direction, ReturnType<typeof plainOf>>>;

type PlainListing = OwnListing & { readonly by: PlainOrder };

/** Whether the indexes of an owner's assets serve all conditions of a list. */
function isPlain(listing: AssetListing): listing is PlainListing {
  if (listing.scope !== 'OWN' || listing.by === 'taken') return false;
  const served = listing.by === 'created' ? ['ownerId', 'createdAfter', 'createdBefore'] : ['ownerId'];
  return Object.entries(listing.filter).every(
    ([name, value]) => value === undefined || served.includes(name),
  );
}

/** The range of a page, or of one stream of it, behind a position. */
function pageRangeOf({ by, filter, direction }: AssetListing, after: ListPosition | null) {
  const { createdAfter, createdBefore, properties = {} } = filter;
  if (by === 'created') return rangeOf(by, direction, after, createdAfter, createdBefore);
  if (by === 'taken') return rangeOf(by, direction, after, properties.takenAfter, properties.takenBefore);
  return rangeOf(by, direction, after);
}

/** Reads pages of lists. A list with a filter, or of granted assets, is merged from ordered ranges of indexes. */
@Injectable()
export class AssetListsRepository {
  constructor(
    private readonly database: Database,
    private readonly sources: PrincipalSources,
  ) {}

  /** Does not check whether the actor may list the owner of an OWN list; the calling code must have done so. */
  async read(requested: AssetListing, actor: Actor): Promise<AssetList> {
    const isReadyOnly = requested.by === 'taken' || requested.filter.properties !== undefined;
    const statuses = requested.statuses.filter((status) => !isReadyOnly || status === 'READY');
    const listing = { ...requested, statuses };
    if (statuses.length === 0 || listing.filter.kinds?.length === 0) return { found: [], stoppedAt: null };
    if (isPlain(listing)) {
      const found = await this.readPlain(listing, actor);
      // The statement does not leave out hidden assets, because it would read any number of them.
      if (found.every(({ asset }) => asset.replaces === null)) return { found, stoppedAt: null };
    }
    return this.load(await this.merge(listing, actor), listing, actor);
  }

  private async readPlain(listing: PlainListing, actor: Actor): Promise<ListedAsset[]> {
    const { filter, statuses, by, direction, limit } = listing;
    const { start, end } = pageRangeOf(listing, listing.after ?? null);
    const rows = await this.database.query(LIST[by][direction].for(this.sources), [
      filter.ownerId,
      start.key,
      start.id,
      end,
      principalsOf(actor),
      limit,
      statuses,
    ]);
    return rows
      .map((row) => ({ asset: assetOf(row), position: { key: row.key, id: row.assetId } }))
      .filter(({ asset }) => may(actor, 'READ', asset));
  }

  private async merge(listing: AssetListing, actor: Actor): Promise<Merged> {
    const { statuses, direction, limit, after = null } = listing;
    const { streams, filter, counted } = await chooseStreams(this.database, listing, actor);
    const { end } = pageRangeOf(listing, null);
    const values = [end, ...filterValues(filter, statuses, insiderOf(listing, actor))];
    return mergeStreams({
      streams: streams.length,
      after,
      limit,
      budget: MAX_EXAMINED - counted,
      compare: comparisonOf(direction),
      fetch: async (refills, size) => {
        const asked = refills.map(({ stream, after }, index) => {
          return { index, ...pageRangeOf(listing, after).start, ...streams[stream]! };
        });
        const batches: Batch[] = [];
        const reads = [...Map.groupBy(asked, ({ source }) => source)].map(async ([source, parts]) => {
          const rows = await this.database.query(ENTRIES[source][direction], [
            parts.map(({ value }) => value),
            parts.map(({ key }) => key),
            parts.map(({ id }) => id),
            size,
            ...values,
          ]);
          for (const [part, { index }] of parts.entries()) batches[index] = batchOf(rows, part + 1);
        });
        await Promise.all(reads);
        return batches;
      },
    });
  }

  /** Reads the assets of a page. Leaves out those that have been removed, or that the caller lost, since their entries were read. */
  private async load(merged: Merged, listing: AssetListing, actor: Actor): Promise<AssetList> {
    const ids = merged.found.map(({ id }) => id);
    if (ids.length === 0) return { found: [], stoppedAt: merged.stoppedAt };
    const rows = await this.database.query(FIND_ALL.for(this.sources), [ids, principalsOf(actor)]);
    const insider = insiderOf(listing, actor);
    const assets = new Map(
      rows
        .map(assetOf)
        .filter(
          (asset) =>
            may(actor, 'READ', asset) &&
            listing.statuses.includes(asset.status) &&
            (asset.status === 'READY' || asset.ownerId === insider),
        )
        .map((asset) => [asset.id, asset]),
    );
    const found = merged.found.flatMap((position) => {
      const asset = assets.get(position.id);
      return asset === undefined ? [] : [{ asset, position }];
    });
    const isCut = found.length < merged.found.length && merged.found.length === listing.limit;
    return { found, stoppedAt: isCut ? merged.found.at(-1)! : merged.stoppedAt };
  }
}

/** The entries of one stream, of which the statement numbers the streams from 1. */
function batchOf(rows: readonly EntryRow[], stream: number): Batch {
  const own = rows.filter((row) => row.stream === stream);
  const last = own.at(-1);
  return {
    matching: own.filter(({ matches }) => matches).map(({ key, id }) => ({ key, id })),
    examined: last?.examined ?? 0,
    last: last === undefined ? null : { key: last.key, id: last.id },
  };
}
