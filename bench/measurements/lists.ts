import { built } from '../built.ts';
import type { Figure } from '../figures.ts';
import { type Latency, Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';
import { groupOf, storeAssets } from '../stored-assets.ts';
import { ask, operation, tokenOf } from '../users.ts';

const ASSETS = 1_000_000;
const GROUPS = 20;
const OWNER = 3_000;
const READER = 3_001;
const PAGE = 100;
/** The page that is compared with the first one. */
const FAR = 5_000;
const CONNECTIONS = 2;
const SECONDS = 1;
const WARM_UP_SECONDS = 0.5;
const MAX_RATIO = 1.3;

const LIST = `query ($scope: AssetScope!, $orderBy: AssetOrder!, $after: String) {
  assets(scope: $scope, orderBy: $orderBy, first: ${PAGE}, after: $after) {
    nodes { id filename status mimeType sizeBytes createdAt } pageInfo { hasNextPage endCursor } } }`;

const SCOPES = ['OWN', 'SHARED', 'PUBLIC'] as const;
/** The orders, with the column and direction that sort the same assets in SQL. */
const ORDERS = {
  CREATED_DESC: ['a.created_at', 'desc'],
  CREATED_ASC: ['a.created_at', 'asc'],
  SIZE_DESC: ['a.size_bytes', 'desc'],
  SIZE_ASC: ['a.size_bytes', 'asc'],
  FILENAME_ASC: ['lower(a.filename) collate "C"', 'asc'],
  TAKEN_DESC: [`p.taken_at_local at time zone 'UTC'`, 'desc'],
  TAKEN_ASC: [`p.taken_at_local at time zone 'UTC'`, 'asc'],
} as const;
type Order = keyof typeof ORDERS;

interface List {
  readonly scope: (typeof SCOPES)[number];
  readonly orderBy: Order;
}
const LISTS: readonly List[] = SCOPES.flatMap((scope) =>
  (Object.keys(ORDERS) as Order[]).map((orderBy) => ({ scope, orderBy })),
);

interface Page {
  readonly nodes: readonly { readonly id: string }[];
}

interface Start {
  readonly behind: { readonly key: Date | bigint | string; readonly id: string };
  readonly firstId: string;
}

/**
 * An owner has a million assets, which everyone may read; a reader is in 20 groups to which they are granted too. The first page of
 * 100 is compared with page 5,000, in each scope and order.
 */
export const lists: Measurement = {
  name: 'lists',
  async run(stack, say): Promise<Figure[]> {
    say(`storing ${ASSETS.toLocaleString('en')} assets`);
    await storeAssets(stack, { assets: ASSETS, firstOwner: OWNER, owners: 1, groups: GROUPS });
    const groups = Array.from({ length: GROUPS }, (_, number) => groupOf(number));
    const tokens = {
      OWN: await tokenOf(stack, OWNER),
      SHARED: await tokenOf(stack, READER, groups),
      PUBLIC: await tokenOf(stack, READER),
    };
    const starts = new Map<Order, Start>();
    for (const orderBy of Object.keys(ORDERS) as Order[]) starts.set(orderBy, await startOf(stack, orderBy));

    using load = new Load();
    const figures: Figure[] = [];
    for (const list of LISTS) {
      const { scope, orderBy } = list;
      const read = (after: string | null) => operation(tokens[scope], LIST, { ...list, after });
      const { behind, firstId } = starts.get(orderBy)!;
      const after = await cursorOf(list, behind);
      const { assets } = await ask<{ assets: Page }>(stack, read(after));
      if (assets.nodes.length !== PAGE || assets.nodes[0]!.id !== firstId) {
        throw new Error(`${scope} ${orderBy}: page ${FAR} has other assets`);
      }
      const send = (cursor: string | null, seconds = SECONDS): Promise<Latency> =>
        load.latency({
          origin: stack.apiOrigin,
          requests: [read(cursor)],
          connections: CONNECTIONS,
          seconds,
        });
      await send(null, WARM_UP_SECONDS);
      await send(after, WARM_UP_SECONDS);
      const { first, later } = await alternate(
        { first: () => send(null), later: () => send(after) },
        (doing) => say(`${scope} ${orderBy}, ${doing}`),
      );
      figures.push({
        what: `page ${FAR.toLocaleString('en')} of ${scope}, ${orderBy}`,
        unit: 'ms',
        values: later.map(({ mean }) => mean),
        against: { what: 'page 1', values: first.map(({ mean }) => mean) },
        target: { atMost: MAX_RATIO },
      });
    }
    return figures;
  },
};

/** The position behind which the far page begins, and its first asset. */
async function startOf(stack: Stack, orderBy: Order): Promise<Start> {
  const [key, direction] = ORDERS[orderBy];
  const [last, first] = await stack.query<{ key: Date | string; id: string }>(
    `select ${key} as key, a.asset_id as id from media_assets a join asset_properties p using (asset_id) where a.owner_id = ${OWNER}
      order by ${key} ${direction}, a.asset_id ${direction} offset ${(FAR - 1) * PAGE - 1} limit 2`,
  );
  const { key: value, id } = last!;
  const isSize = orderBy.startsWith('SIZE');
  return { behind: { key: isSize ? BigInt(value as string) : value, id }, firstId: first!.id };
}

/** The cursor that a client has after reading all pages before the far one. */
async function cursorOf({ scope, orderBy }: List, behind: Start['behind']): Promise<string> {
  const { parseListing } = await built<typeof import('../../libs/assets/src/graphql/asset-listing.ts')>(
    'libs/assets/src/graphql/asset-listing',
  );
  const actor = { ownerId: BigInt(scope === 'OWN' ? OWNER : READER), groups: [], isAdmin: false };
  const page = { backward: false, size: PAGE, cursor: null };
  return parseListing(actor, { scope, orderBy }, page).cursors.encode(behind);
}
