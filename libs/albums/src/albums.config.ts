import { Variable, Whole } from '#libs/runtime';

export class AlbumsConfig {
  /** Assets that an album can contain. */
  @Variable('ALBUMS_MAX_ITEMS')
  @Whole(1, 100_000)
  readonly maxItems: number = 10_000;
}
