import { type Actor, ASSET_STATUSES, type AssetStatus, parseOwnerId, StowageError } from '#libs/domain';
import { type CursorFields, type Cursors, cursorsOf, type PageRequest } from '#libs/graphql';
import type { Direction, OrderKey } from '../asset-list-entries.js';
import type { AssetListing } from '../asset-list-streams.js';
import type { ListPosition } from '../list-merge.js';
import { parseFilter } from './asset-filter-input.js';
import type { AssetsArgs } from './assets.args.js';
import type { AssetOrderEnum } from './enums.js';

const HIDDEN: readonly AssetStatus[] = ['DELETED', 'EXPIRED', 'CANCELLED'];
const SHOWN = ASSET_STATUSES.filter((status) => !HIDDEN.includes(status));

const ORDERS: Record<keyof typeof AssetOrderEnum, readonly [OrderKey, Direction]> = {
  CREATED_DESC: ['created', 'desc'],
  CREATED_ASC: ['created', 'asc'],
  SIZE_DESC: ['size', 'desc'],
  SIZE_ASC: ['size', 'asc'],
  FILENAME_ASC: ['name', 'asc'],
  TAKEN_DESC: ['taken', 'desc'],
  TAKEN_ASC: ['taken', 'asc'],
};

const KEY_TYPES = {
  created: 'instant',
  taken: 'instant',
  size: 'bigint',
  name: 'text',
} as const satisfies Record<OrderKey, CursorFields[string]>;

/** The owner whose assets are listed; in the scopes of granted assets, undefined for any. */
function parseOwner(actor: Actor, { scope, filter }: AssetsArgs): bigint | undefined {
  const parsed = filter?.ownerId == null ? undefined : parseOwnerId(filter.ownerId, ['filter', 'ownerId']);
  if (scope !== 'OWN') return parsed;
  if (parsed !== undefined && parsed !== actor.ownerId && !actor.isAdmin) {
    throw new StowageError(
      'forbidden',
      'OPERATORS_ONLY',
      "Only operators may list another owner's assets in the scope OWN.",
    );
  }
  return parsed ?? actor.ownerId;
}

/**
 * Validates the arguments of a list and checks that the actor may list the owner's assets. Cursors are bound to scope, filter and
 * order.
 * @throws StowageError invalid CURSOR_INVALID, OWNER_ID_INVALID, FILTER_INVALID; forbidden OPERATORS_ONLY
 */
export function parseListing(
  actor: Actor,
  args: AssetsArgs,
  page: PageRequest,
): { listing: AssetListing; cursors: Cursors<ListPosition> } {
  const scope = args.scope ?? 'OWN';
  const orderBy = args.orderBy ?? 'CREATED_DESC';
  const [by, order] = ORDERS[orderBy];
  const ownerId = parseOwner(actor, { ...args, scope });
  const statuses = new Set(args.filter?.status ?? SHOWN);
  const filter = parseFilter(args.filter ?? {});
  const ordered = ASSET_STATUSES.filter((status) => statuses.has(status));
  const list = JSON.stringify([scope, orderBy, String(ownerId), ordered, filter]);
  const cursors: Cursors<ListPosition> = cursorsOf(`assets ${list}`, { key: KEY_TYPES[by], id: 'uuid' });
  const rest = {
    statuses: ordered,
    by,
    direction: (order === 'asc') === page.backward ? ('desc' as const) : ('asc' as const),
    after: cursors.positionOf(page) ?? undefined,
    limit: page.size + 1,
  };
  if (scope === 'OWN') {
    return { listing: { ...rest, scope, filter: { ...filter, ownerId: ownerId! } }, cursors };
  }
  return { listing: { ...rest, scope, filter: { ...filter, ownerId } }, cursors };
}
