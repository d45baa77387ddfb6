import { Types } from '#libs/assets';
import { Bytes, Variable, Whole } from '#libs/runtime';

export class ProcessingConfig {
  /** Number of assets that are processed at a time. */
  @Variable('WORKER_CONCURRENCY')
  @Whole(1, 64)
  readonly concurrency: number = 8;

  /** Time in seconds until other workers take the jobs of a crashed worker. */
  @Variable('JOB_LOCK_SECONDS')
  @Whole(1, 600)
  readonly lockSeconds: number = 15;

  /** Maximum number of bytes in the spool folder. A larger file is not inspected. */
  @Variable('SPOOL_BYTES')
  @Bytes()
  readonly spoolBytes: number = 8 * 2 ** 30;

  /** Bytes of stored objects to scan again per second after a signature update. */
  @Variable('RESCAN_BYTES')
  @Bytes()
  readonly rescanBytesPerSecond: number = 10 * 2 ** 20;

  /** Media types and families to store even if the scanner could not scan the whole file; empty for none. */
  @Variable('ADMIT_UNSCANNABLE')
  @Types()
  readonly admitUnscannable: readonly string[] = [];
}
