import {
  type Actor,
  asIfUtc,
  ASSET_STATUSES,
  type AssetStatus,
  invalid,
  isAssetId,
  StowageError,
} from '#libs/domain';
import { type PageRequest } from '#libs/graphql';
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
const OWNER_ID = /^(0|[1-9][0-9]{0,18})$/;
/** Allows instants back to 1200 BCE, because the EXIF time of a picture can be arbitrary. */
const MILLIS = /^(\d{1,15}|-\d{1,14})$/;

const ORDERS: Partial<Record<Order, Required<Pick<AssetListing, 'by' | 'order'>>>> = {
  CREATED_DESC: { by: 'created', order: 'desc' },
  CREATED_ASC: { by: 'created', order: 'asc' },
  TAKEN_DESC: { by: 'taken', order: 'desc' },
  TAKEN_ASC: { by: 'taken', order: 'asc' },
};

const orderOf = (args: AssetsArgs): Order => args.orderBy ?? 'CREATED_DESC';

/** Returns a function that encodes positions of the requested list as cursors. */
export const cursorIn = (args: AssetsArgs) => (position: ListPosition) =>
  Buffer.from(`${orderOf(args)}:${position.at.getTime()}:${position.id}`).toString('base64url');

function parseCursor(cursor: string, order: Order, path: string): ListPosition {
  const parts = Buffer.from(cursor, 'base64url').toString().split(':');
  const [of, millis = '', id = ''] = parts;
  if (parts.length !== 3 || of !== order || !MILLIS.test(millis) || !isAssetId(id)) {
    throw invalid('CURSOR_INVALID', 'The cursor does not belong to a list in this order.', [path]);
  }
  return { at: new Date(Number(millis)), id };
}

function parseOwner(actor: Actor, ownerId: string | null | undefined): bigint {
  if (ownerId == null) return actor.ownerId;
  if (!OWNER_ID.test(ownerId) || BigInt(ownerId) >= 2n ** 63n) {
    throw invalid('OWNER_ID_INVALID', 'An owner id must be a whole number.', ['filter', 'ownerId']);
  }
  if (BigInt(ownerId) !== actor.ownerId && !actor.isAdmin) {
    throw new StowageError('forbidden', 'OPERATORS_ONLY', "Only operators may list another owner's assets.");
  }
  return BigInt(ownerId);
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
export function parseListing(actor: Actor, args: AssetsArgs, page: PageRequest): AssetListing {
  const filter = args.filter ?? {};
  const properties = filter.properties ?? {};
  const notServed = (path: string[]) =>
    invalid('LIST_NOT_SERVED', 'This combination of scope, filters and order is not supported.', path);
  if ((args.scope ?? 'OWN') !== 'OWN') throw notServed(['scope']);
  const listed = ORDERS[orderOf(args)];
  if (listed === undefined) throw notServed(['orderBy']);
  const { by, order } = listed;
  const other = SERVED_IN[by === 'created' ? 'taken' : 'created'];
  const unserved = [...UNSERVED, ...other.filter].find((name) => filter[name] != null);
  if (unserved !== undefined) throw notServed(['filter', unserved]);
  const unknown = other.properties.find((name) => properties[name] != null);
  if (unknown !== undefined) throw notServed(['filter', 'properties', unknown]);
  const [from, to] =
    by === 'created'
      ? [filter.createdAfter, filter.createdBefore]
      : [properties.takenAfter, properties.takenBefore].map((local) => local && asIfUtc(local));
  return {
    ownerId: parseOwner(actor, filter.ownerId),
    by,
    statuses: [...new Set(filter.status ?? SHOWN)],
    from: from || undefined,
    to: to || undefined,
    properties: parseProperties(properties),
    order: (order === 'asc') === page.backward ? 'desc' : 'asc',
    after:
      page.cursor === null
        ? undefined
        : parseCursor(page.cursor, orderOf(args), page.backward ? 'before' : 'after'),
    limit: page.size + 1,
  };
}
