import { type Actor, ASSET_STATUSES, type AssetStatus, invalid, isAssetId, StowageError } from '#libs/domain';
import { type PageRequest } from '#libs/graphql-edge';
import type { Asset } from '../asset.js';
import type { AssetListing } from '../assets.service.js';
import type { AssetFilterInput, AssetsArgs } from './assets.args.js';

const HIDDEN: readonly AssetStatus[] = ['DELETED', 'EXPIRED', 'CANCELLED'];
const SHOWN = ASSET_STATUSES.filter((status) => !HIDDEN.includes(status));
const OWNER_ID = /^(0|[1-9][0-9]{0,18})$/;

export const cursorOf = (asset: Pick<Asset, 'createdAt' | 'id'>) =>
  Buffer.from(`created:${asset.createdAt.getTime()}:${asset.id}`).toString('base64url');

function parseCursor(cursor: string, path: string): { createdAt: Date; id: string } {
  const parts = Buffer.from(cursor, 'base64url').toString().split(':');
  const [order, millis = '', id = ''] = parts;
  if (parts.length !== 3 || order !== 'created' || !/^\d{1,15}$/.test(millis) || !isAssetId(id)) {
    throw invalid('CURSOR_INVALID', 'The cursor is not one of this list.', [path]);
  }
  return { createdAt: new Date(Number(millis)), id };
}

function parseOwner(actor: Actor, ownerId: string | null | undefined): bigint {
  if (ownerId == null) return actor.ownerId;
  if (!OWNER_ID.test(ownerId) || BigInt(ownerId) >= 2n ** 63n) {
    throw invalid('OWNER_ID_INVALID', 'An owner id is a whole number.', ['filter', 'ownerId']);
  }
  if (BigInt(ownerId) !== actor.ownerId && !actor.isAdmin) {
    throw new StowageError('forbidden', 'OPERATORS_ONLY', "Only operators list another owner's assets.");
  }
  return BigInt(ownerId);
}

/** Filters that no index serves yet are refused, not slow. */
const UNSERVED: readonly (keyof AssetFilterInput)[] = [
  'kind',
  'mimeType',
  'checksumSha256',
  'metadata',
  'filenameContains',
];

/** @throws StowageError invalid (CURSOR_INVALID, OWNER_ID_INVALID, LIST_NOT_SERVED), forbidden OPERATORS_ONLY */
export function parseListing(actor: Actor, args: AssetsArgs, page: PageRequest): AssetListing {
  const filter = args.filter ?? {};
  const refuse = (path: string[]) =>
    invalid('LIST_NOT_SERVED', 'This combination of scope, filters and order is not served.', path);
  const { scope, orderBy } = { scope: args.scope ?? 'OWN', orderBy: args.orderBy ?? 'CREATED_DESC' };
  if (scope !== 'OWN') throw refuse(['scope']);
  if (orderBy !== 'CREATED_DESC' && orderBy !== 'CREATED_ASC') throw refuse(['orderBy']);
  const unserved = UNSERVED.find((name) => filter[name] != null);
  if (unserved !== undefined) throw refuse(['filter', unserved]);
  return {
    ownerId: parseOwner(actor, filter.ownerId),
    statuses: filter.status ?? SHOWN,
    createdAfter: filter.createdAfter ?? undefined,
    createdBefore: filter.createdBefore ?? undefined,
    order: (orderBy === 'CREATED_ASC') === page.backward ? 'desc' : 'asc',
    after: page.cursor === null ? undefined : parseCursor(page.cursor, page.backward ? 'before' : 'after'),
    limit: page.size + 1,
  };
}
