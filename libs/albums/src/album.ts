import type { Album as AlbumRow } from '#libs/database';
import { invalid, StowageError } from '#libs/domain';

/** An album: a list of pictures of one owner. */
export type Album = Pick<AlbumRow, 'id' | 'ownerId' | 'title' | 'coverAssetId' | 'createdAt' | 'updatedAt'>;

/** The prefix of principals that name albums, and the key of metadata that names the album of an upload. */
export const ALBUMS = 'albums';
export const ALBUM_KEY = 'albums.id';

/** The principal that everyone holds with whom the album is shared. */
export const principalOf = (albumId: bigint) => `${ALBUMS}:${albumId}`;

const ID = /^[1-9][0-9]{0,18}$/;
const MAX_ID = 2n ** 63n - 1n;

/** The id of an album; null if the text is none. */
export function parseAlbumId(text: string): bigint | null {
  return ID.test(text) && BigInt(text) <= MAX_ID ? BigInt(text) : null;
}

const MAX_TITLE = 200;

/** @throws StowageError invalid ALBUMS_TITLE_INVALID */
export function parseTitle(text: string): string {
  const title = text.normalize('NFC').trim();
  if (title.length >= 1 && title.length <= MAX_TITLE && !/[\p{Cc}\p{Cs}]/u.test(title)) return title;
  throw invalid(
    'ALBUMS_TITLE_INVALID',
    `A title must have 1 to ${MAX_TITLE} characters and no control characters.`,
    ['title'],
  );
}

export const albumNotFound = () =>
  new StowageError('not-found', 'ALBUMS_NOT_FOUND', 'No album has this id, or you may not see it.');

export const imagesOnly = (path: readonly (string | number)[]) =>
  invalid('ALBUMS_IMAGES_ONLY', 'An album can contain images only.', path);
