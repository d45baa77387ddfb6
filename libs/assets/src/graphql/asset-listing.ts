import {
  type Actor,
  asIfUtc,
  ASSET_STATUSES,
  type AssetStatus,
  invalid,
  parseOwnerId,
  StowageError,
} from '#libs/domain';
import { type Cursors, cursorsOf, type PageRequest } from '#libs/graphql';
import {
  type AssetListing,
  FILTERED_PROPERTIES,
  type ListPosition,
  type PropertyFilter,
} from '../asset-lists.repository.js';
import type { AssetFilterInput, AssetsArgs, PropertiesFilterInput } from './assets.args.js';
import type { AssetOrderEnum } from './enums.js';

type Order = keyof typeof AssetOrderEnum;

const HIDDEN: readonly AssetStatus[] = ['DELETED', 'EXPIRED', 'CANCELLED'];
const SHOWN = ASSET_STATUSES.filter((status) => !HIDDEN.includes(status));

const listedBy = (by: 'created' | 'taken', order: 'asc' | 'desc') => ({
  by,
  order,
  cursors: cursorsOf(`assets ${by} ${order}`, { at: 'instant', id: 'uuid' }),
});
const ORDERS: Partial<Record<Order, ReturnType<typeof listedBy>>> = {
  CREATED_DESC: listedBy('created', 'desc'),
  CREATED_ASC: listedBy('created', 'asc'),
  TAKEN_DESC: listedBy('taken', 'desc'),
  TAKEN_ASC: listedBy('taken', 'asc'),
};

function parseOwner(actor: Actor, ownerId: string | null | undefined): bigint {
  if (ownerId == null) return actor.ownerId;
  const parsed = parseOwnerId(ownerId, ['filter', 'ownerId']);
  if (parsed !== actor.ownerId && !actor.isAdmin) {
    throw new StowageError('forbidden', 'OPERATORS_ONLY', "Only operators may list another owner's assets.");
  }
  return parsed;
}

/** Filters without an index are rejected, since their queries would be slow. */
const UNSERVED: readonly (keyof AssetFilterInput)[] = [
  'kind',
  'mimeType',
  'checksumSha256',
  'metadata',
  'filenameContains',
];

/** Filters that have an index in one order only. */
const SERVED_IN: Readonly<
  Record<
    'created' | 'taken',
    { filter: (keyof AssetFilterInput)[]; properties: (keyof PropertiesFilterInput)[] }
  >
> = {
  created: { filter: ['createdAfter', 'createdBefore'], properties: [...FILTERED_PROPERTIES] },
  taken: { filter: [], properties: ['takenAfter', 'takenBefore'] },
};

function parseProperties(input: PropertiesFilterInput): PropertyFilter {
  for (const name of FILTERED_PROPERTIES) {
    const value = input[name];
    // PostgreSQL texts cannot contain NUL.
    if (typeof value === 'string' && value.includes('\0')) {
      throw invalid('FILTER_INVALID', 'A text must not contain NUL.', ['filter', 'properties', name]);
    }
  }
  const given = FILTERED_PROPERTIES.filter((name) => input[name] != null);
  return Object.fromEntries(given.map((name) => [name, input[name]]));
}

/**
 * Validates the arguments of a list and checks that the actor may list the owner's assets.
 * @throws StowageError invalid CURSOR_INVALID, OWNER_ID_INVALID, FILTER_INVALID, LIST_NOT_SERVED; forbidden OPERATORS_ONLY
 */
export function parseListing(
  actor: Actor,
  args: AssetsArgs,
  page: PageRequest,
): { listing: AssetListing; cursors: Cursors<ListPosition> } {
  const filter = args.filter ?? {};
  const properties = filter.properties ?? {};
  const notServed = (path: string[]) =>
    invalid('LIST_NOT_SERVED', 'This combination of scope, filters and order is not supported.', path);
  if ((args.scope ?? 'OWN') !== 'OWN') throw notServed(['scope']);
  const listed = ORDERS[args.orderBy ?? 'CREATED_DESC'];
  if (listed === undefined) throw notServed(['orderBy']);
  const { by, order, cursors } = listed;
  const other = SERVED_IN[by === 'created' ? 'taken' : 'created'];
  const unserved = [...UNSERVED, ...other.filter].find((name) => filter[name] != null);
  if (unserved !== undefined) throw notServed(['filter', unserved]);
  const unknown = other.properties.find((name) => properties[name] != null);
  if (unknown !== undefined) throw notServed(['filter', 'properties', unknown]);
  const [from, to] =
    by === 'created'
      ? [filter.createdAfter, filter.createdBefore]
      : [properties.takenAfter, properties.takenBefore].map((local) => local && asIfUtc(local));
  const listing = {
    ownerId: parseOwner(actor, filter.ownerId),
    by,
    statuses: [...new Set(filter.status ?? SHOWN)],
    from: from || undefined,
    to: to || undefined,
    properties: parseProperties(properties),
    order: (order === 'asc') === page.backward ? ('desc' as const) : ('asc' as const),
    after: cursors.positionOf(page) ?? undefined,
    limit: page.size + 1,
  };
  return { listing, cursors };
}
