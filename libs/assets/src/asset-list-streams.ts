import type { Database } from '#libs/database';
import { type Actor, type AssetStatus, principalsOf } from '#libs/domain';
import { type AssetFilter, FILTERED_PROPERTIES, filterValues } from './asset-filter.js';
import {
  COUNT_MATCHES,
  type Direction,
  type ListStream,
  type OrderKey,
  type SourceName,
} from './asset-list-entries.js';
import type { ListPosition } from './list-merge.js';

/** One page of a list of assets: filter, order, start and length. */
interface Page {
  /** Must be distinct: a repeated status lists its assets twice. */
  readonly statuses: readonly AssetStatus[];
  readonly filter: AssetFilter;
  /** `taken` lists only READY assets with a known local time of taking. */
  readonly by: OrderKey;
  readonly direction: Direction;
  /** The page starts behind this position, in the given direction. */
  readonly after?: ListPosition;
  readonly limit: number;
}

/** A page of one owner's assets. */
export interface OwnListing extends Page {
  readonly scope: 'OWN';
  readonly filter: AssetFilter & { readonly ownerId: bigint };
}

/** A page of the assets that are granted to the caller and the caller's groups, or to everyone. */
interface GrantedListing extends Page {
  readonly scope: 'SHARED' | 'PUBLIC';
}

export type AssetListing = OwnListing | GrantedListing;

/** Owner whose assets a list shows in every status; those of others only when READY. */
export const insiderOf = (listing: AssetListing, actor: Actor) =>
  listing.scope === 'OWN' ? listing.filter.ownerId : actor.ownerId;

/** The index ranges that a list is merged from. */
export interface ChosenStreams {
  readonly streams: readonly ListStream[];
  /** The filter; the metadata condition that supplies the index comes first. */
  readonly filter: AssetFilter;
  /** Index entries that were read for the choice. */
  readonly counted: number;
}

const streamsOf = (source: SourceName, values: readonly (string | null)[] = [null]): ListStream[] =>
  values.map((value) => ({ source, value }));

/** A condition of a filter that an index serves. */
interface Candidate {
  readonly source: SourceName;
  readonly filter: AssetFilter;
  readonly count: (counts: (typeof COUNT_MATCHES)['row'] & object) => number;
}

function candidatesOf({ filter }: OwnListing): Candidate[] {
  const { properties = {}, metadata = [] } = filter;
  return [
    ...FILTERED_PROPERTIES.filter((name) => properties[name] !== undefined).map((name): Candidate => ({
      source: name,
      filter,
      count: (counts) => counts[name],
    })),
    ...metadata.flatMap(({ value }, index): Candidate[] => {
      if (value === null) return [];
      const first = [metadata[index]!, ...metadata.toSpliced(index, 1)];
      return [
        {
          source: 'metadata',
          filter: { ...filter, metadata: first },
          count: (counts) => counts.metadata[index]!,
        },
      ];
    }),
  ];
}

/** Chooses the indexes of a list. In the orders by creation, the condition that the fewest assets match supplies the index. */
export async function chooseStreams(
  database: Database,
  listing: AssetListing,
  actor: Actor,
): Promise<ChosenStreams> {
  const { filter, statuses } = listing;
  const chosen = (streams: readonly ListStream[]) => ({ streams, filter, counted: 0 });
  if (listing.scope !== 'OWN') {
    const isIncluded = (principal: string) => (principal === '*') === (listing.scope === 'PUBLIC');
    return chosen(streamsOf(`grant_${listing.by}`, principalsOf(actor).filter(isIncluded)));
  }
  if (listing.by === 'taken') return chosen(streamsOf('taken'));
  if (listing.by !== 'created') return chosen(streamsOf(`status_${listing.by}`, statuses));
  if (filter.checksum !== undefined) {
    const ready = statuses.includes('READY') ? streamsOf('checksum') : [];
    const others = statuses.filter((status) => status !== 'READY');
    return chosen([...ready, ...streamsOf('status_created', others)]);
  }
  const candidates = candidatesOf(listing);
  if (candidates.length === 0) return chosen(streamsOf('status_created', statuses));
  let [best] = candidates as [Candidate];
  let counted = 0;
  if (candidates.length > 1) {
    const [counts] = await database.query(
      COUNT_MATCHES,
      filterValues(filter, statuses, insiderOf(listing, actor)),
    );
    best = candidates.reduce((a, b) => (b.count(counts!) < a.count(counts!) ? b : a));
    counted = candidates.reduce((sum, { count }) => sum + count(counts!), 0);
  }
  return { streams: streamsOf(best.source), filter: best.filter, counted };
}
