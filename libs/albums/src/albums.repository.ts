import { Injectable } from '@nestjs/common';
import { PrincipalSource } from '#libs/access';
import {
  type AlbumItem,
  type AlbumShare,
  columnsSql,
  Database,
  isUniqueViolation,
  statement,
  type Tx,
} from '#libs/database';
import { type Actor, principalsOf } from '#libs/domain';
import { type Album, ALBUMS } from './album.js';

const COLUMNS = columnsSql<Album>('a', ['id', 'ownerId', 'title', 'coverAssetId', 'createdAt', 'updatedAt']);

/** Shares that one album can have. */
export const MAX_SHARES = 100;
/** Albums of one asset that a field shows. */
export const MAX_ALBUMS_OF_ASSET = 100;

const notExpired = 's.expires_at is null or s.expires_at > now()';

/** Whether the caller may see the album `a`. Parameters: owner id, principals, whether the caller is an operator. */
const visible = (ownerId: string, principals: string, isAdmin: string) =>
  `(a.owner_id = ${ownerId} or ${isAdmin} or exists (select from album_shares s
     where s.album_id = a.id and s.principal = any(${principals}) and (${notExpired})))`;

const FIND = statement<Album>(
  'albums_find',
  `select ${COLUMNS} from albums a where a.id = $1 and ${visible('$2', '$3', '$4::boolean')}`,
);

type Direction = 'asc' | 'desc';
const perOrder = <Row>(name: string, textOf: (order: Direction, sign: string) => string) => ({
  asc: statement<Row>(`${name}_asc`, textOf('asc', '>')),
  desc: statement<Row>(`${name}_desc`, textOf('desc', '<')),
});

const LIST_OWN = perOrder<Album>(
  'albums_list_own',
  (order, sign) => `select ${COLUMNS} from albums a
    where a.owner_id = $1 and a.id ${sign} $2 order by a.id ${order} limit $3`,
);

/** Reads each principal's shares in the order of an index, so that a page costs the same anywhere in the list. */
const LIST_SHARED = perOrder<Album>(
  'albums_list_shared',
  (order, sign) => `select ${COLUMNS} from (
      select distinct s.album_id from unnest($1::text[]) as p (principal), lateral (
        select s.album_id from album_shares s
        where s.principal = p.principal and s.album_id ${sign} $2 and (${notExpired})
        order by s.album_id ${order} limit $3) s) shared
    join albums a on a.id = shared.album_id order by a.id ${order} limit $3`,
);

export type Item = Pick<AlbumItem, 'assetId' | 'position' | 'addedAt'>;

/** A page of the items of an album. */
export type ItemPage = Listing & { readonly albumId: bigint };

const LIST_ITEMS = perOrder<Item & { page: number }>(
  'albums_list_items',
  (
    order,
    sign,
  ) => `select p.page::int - 1 as page, ${columnsSql<Item>('i', ['assetId', 'position', 'addedAt'])}
    from unnest($1::bigint[], $2::bigint[], $3::int[]) with ordinality as p (album_id, after, size, page), lateral (
      select * from album_items i where i.album_id = p.album_id and i.position ${sign} p.after
      order by i.position ${order} limit p.size) i
    order by p.page, i.position ${order}`,
);

const COUNT_ITEMS = statement<{ albumId: bigint; items: number }>(
  'albums_count_items',
  `select i.album_id as "albumId", count(*)::int as items from album_items i
    where i.album_id = any($1::bigint[]) group by i.album_id`,
);

const OF_ASSETS = statement<Album & { assetId: string }>(
  'albums_of_assets',
  `select i.asset_id as "assetId", ${COLUMNS} from unnest($1::uuid[]) as n (asset_id), lateral (
      select * from album_items i where i.asset_id = n.asset_id order by i.album_id limit ${MAX_ALBUMS_OF_ASSET}) i
    join albums a on a.id = i.album_id where ${visible('$2', '$3', '$4::boolean')} order by a.id`,
);

const OWNERS = statement<Pick<Album, 'id' | 'ownerId'>>(
  'albums_owners',
  `select ${columnsSql<Album>('a', ['id', 'ownerId'])} from albums a where a.id = any($1::bigint[])`,
);

export const BATCH = 1_000;
const REMOVE_EXPIRED = statement<object>(
  'albums_remove_expired_shares',
  `delete from album_shares s using (
      select album_id, principal from album_shares where expires_at <= $1 limit ${BATCH} for update skip locked) e
    where s.album_id = e.album_id and s.principal = e.principal returning 1`,
);

/** Items without the grant that every item has. */
const UNGRANTED = `i.asset_id = $1::uuid and not exists (
    select from asset_acl g where g.asset_id = i.asset_id and g.principal = '${ALBUMS}:' || i.album_id)`;
const LOCK_UNGRANTED = `select a.id from albums a
  where a.id in (select i.album_id from album_items i where ${UNGRANTED}) order by a.id for update`;
const REMOVE_UNGRANTED = `delete from album_items i where ${UNGRANTED} returning i.album_id as id`;

/** First position of a list, in both directions. */
const START: Readonly<Record<Direction, bigint>> = { asc: 0n, desc: 2n ** 63n - 1n };

/** A page of a list by ids or positions: direction, exclusive start and length. */
export interface Listing {
  readonly order: Direction;
  readonly after: bigint | null;
  readonly limit: number;
}

const callerOf = (actor: Actor) => [actor.ownerId, principalsOf(actor), actor.isAdmin];
const pageOf = ({ order, after, limit }: Listing) => [after ?? START[order], limit];

/** All SQL of the feature's tables. The holder of a principal of a share also holds the principal `albums:<id>`. */
@PrincipalSource({
  prefix: ALBUMS,
  table: 'album_shares',
  id: 'album_id',
  idType: 'bigint',
  principal: 'principal',
  expiresAt: 'expires_at',
})
@Injectable()
export class AlbumsRepository {
  constructor(private readonly database: Database) {}

  /** Null if the album does not exist or the caller may not see it. */
  async find(actor: Actor, id: bigint): Promise<Album | null> {
    const [album = null] = await this.database.query(FIND, [id, ...callerOf(actor)]);
    return album;
  }

  listOwn({ ownerId }: Actor, listing: Listing): Promise<Album[]> {
    return this.database.query(LIST_OWN[listing.order], [ownerId, ...pageOf(listing)]);
  }

  /** Albums that are shared with the caller, including own ones that are shared with everyone. */
  listShared(actor: Actor, listing: Listing): Promise<Album[]> {
    return this.database.query(LIST_SHARED[listing.order], [principalsOf(actor), ...pageOf(listing)]);
  }

  /** Reads the pages of each direction in one statement. Empty pages are missing. */
  async listItems(pages: readonly ItemPage[]): Promise<Map<ItemPage, Item[]>> {
    const found = new Map<ItemPage, Item[]>();
    for (const [order, alike] of Map.groupBy(pages, ({ order }) => order)) {
      const rows = await this.database.query(LIST_ITEMS[order], [
        alike.map(({ albumId }) => albumId),
        alike.map(({ after }) => after ?? START[order]),
        alike.map(({ limit }) => limit),
      ]);
      for (const [page, items] of Map.groupBy(rows, ({ page }) => page)) found.set(alike[page]!, items);
    }
    return found;
  }

  /** Numbers of items by album; albums without items are missing. */
  async countItems(albumIds: readonly bigint[]): Promise<Map<bigint, number>> {
    const rows = await this.database.query(COUNT_ITEMS, [albumIds]);
    return new Map(rows.map(({ albumId, items }) => [albumId, items]));
  }

  /** The albums that contain each asset and that the caller may see, {@link MAX_ALBUMS_OF_ASSET} at most. */
  async ofAssets(actor: Actor, assetIds: readonly string[]): Promise<Map<string, Album[]>> {
    const rows = await this.database.query(OF_ASSETS, [assetIds, ...callerOf(actor)]);
    const found = new Map<string, Album[]>();
    for (const { assetId, ...album } of rows) {
      const albums = found.get(assetId);
      if (albums === undefined) found.set(assetId, [album]);
      else albums.push(album);
    }
    return found;
  }

  /** The shares by album; albums without shares are missing. */
  async shares(albumIds: readonly bigint[]): Promise<Map<bigint, AlbumShare[]>> {
    const rows = await this.database.read((prisma) =>
      prisma.albumShare.findMany({
        where: { albumId: { in: [...albumIds] } },
        orderBy: [{ albumId: 'asc' }, { principal: 'asc' }],
      }),
    );
    return Map.groupBy(rows, ({ albumId }) => albumId);
  }

  /** The owners of albums, by album. */
  async owners(albumIds: readonly bigint[]): Promise<Map<bigint, bigint>> {
    const rows = await this.database.query(OWNERS, [albumIds]);
    return new Map(rows.map(({ id, ownerId }) => [id, ownerId]));
  }

  /** Creates an album, or returns the one that the owner created with this key. */
  async create(ownerId: bigint, title: string, idempotencyKey: string | null): Promise<Album> {
    try {
      return await this.database.read((prisma) =>
        prisma.album.create({ data: { ownerId, title, idempotencyKey } }),
      );
    } catch (error) {
      if (idempotencyKey === null || !isUniqueViolation(error)) throw error;
      return this.database.read((prisma) =>
        prisma.album.findUniqueOrThrow({
          where: { ownerId_idempotencyKey: { ownerId, idempotencyKey } },
        }),
      );
    }
  }

  /** Changes of one album wait for each other here. Null if the album was deleted. */
  async lock(tx: Tx, id: bigint): Promise<Album | null> {
    const [album = null] = await tx.$queryRawUnsafe<Album[]>(
      `select ${COLUMNS} from albums a where a.id = $1 for update`,
      id,
    );
    return album;
  }

  async touch(tx: Tx, id: bigint, data: { title?: string; coverAssetId?: string }): Promise<void> {
    await tx.album.updateMany({ where: { id }, data: { ...data, updatedAt: new Date() } });
  }

  /** Adds the assets that are not in the album yet. */
  async addItems(tx: Tx, albumId: bigint, assetIds: readonly string[]): Promise<void> {
    await tx.albumItem.createMany({
      data: assetIds.map((assetId) => ({ albumId, assetId })),
      skipDuplicates: true,
    });
  }

  /** Number of items other than these assets. */
  countOthers(tx: Tx, albumId: bigint, assetIds: readonly string[]): Promise<number> {
    return tx.albumItem.count({ where: { albumId, assetId: { notIn: [...assetIds] } } });
  }

  async removeItems(tx: Tx, albumId: bigint, assetIds: readonly string[]): Promise<void> {
    await tx.albumItem.deleteMany({ where: { albumId, assetId: { in: [...assetIds] } } });
  }

  /**
   * Removes an asset from the albums that give no access to it any more, because its owner changed. Locks these albums, since the asset
   * may be added again meanwhile. @returns the ids of these albums
   */
  async removeUngranted(tx: Tx, assetId: string): Promise<bigint[]> {
    await tx.$queryRawUnsafe(LOCK_UNGRANTED, assetId);
    const removed = await tx.$queryRawUnsafe<{ id: bigint }[]>(REMOVE_UNGRANTED, assetId);
    return removed.map(({ id }) => id);
  }

  /** Replaces the cover of the albums that show this asset by their newest item. */
  async replaceCover(tx: Tx, assetId: string, albumId?: bigint): Promise<void> {
    await tx.$executeRawUnsafe(
      `update albums a set cover_asset_id = (select i.asset_id from album_items i
         where i.album_id = a.id and i.asset_id <> $1::uuid order by i.position desc limit 1)
       where a.cover_asset_id = $1::uuid and ($2::bigint is null or a.id = $2)`,
      assetId,
      albumId ?? null,
    );
  }

  /** Shares an album or changes the expiry of a share. False if the album has {@link MAX_SHARES} shares already. */
  async share(tx: Tx, share: AlbumShare): Promise<boolean> {
    const { albumId, principal, expiresAt } = share;
    const others = await tx.albumShare.count({ where: { albumId, principal: { not: principal } } });
    if (others >= MAX_SHARES) return false;
    await tx.albumShare.upsert({
      where: { albumId_principal: { albumId, principal } },
      create: share,
      update: { expiresAt },
    });
    return true;
  }

  async unshare(albumId: bigint, principal: string): Promise<void> {
    await this.database.read((prisma) => prisma.albumShare.deleteMany({ where: { albumId, principal } }));
  }

  async delete(tx: Tx, id: bigint): Promise<void> {
    await tx.album.deleteMany({ where: { id } });
  }

  /** Removes shares that have expired, {@link BATCH} at most. @returns the number of removed shares */
  async removeExpiredShares(now: Date): Promise<number> {
    return (await this.database.query(REMOVE_EXPIRED, [now])).length;
  }

  countExpiredShares(now: Date): Promise<number> {
    const where = { expiresAt: { lte: now } };
    return this.database.read((prisma) => prisma.albumShare.count({ where }));
  }
}
