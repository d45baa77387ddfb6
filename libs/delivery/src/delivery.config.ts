import { Variable, Whole } from '#libs/runtime';

export class DeliveryConfig {
  /** Maximum lifetime of a URL, in seconds. At least 900, the default lifetime of `downloadUrl`. */
  @Variable('DOWNLOAD_URL_MAX_SECONDS')
  @Whole(900, 604_800)
  readonly maxSeconds: number = 3600;
}
