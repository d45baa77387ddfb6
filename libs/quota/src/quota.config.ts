import { Bytes, Variable, Whole } from '#libs/runtime';

/** Default limits, for owners without limits set by an operator. */
export class QuotaConfig {
  @Variable('QUOTA_BYTES')
  @Bytes()
  readonly limitBytes: number = 10 * 2 ** 30;

  @Variable('QUOTA_ASSETS')
  @Whole(0, 2 ** 31 - 1)
  readonly limitAssets: number = 100_000;
}
