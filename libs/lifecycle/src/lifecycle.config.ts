import { Bytes, Variable } from '#libs/runtime';

export class LifecycleConfig {
  /** Bytes of stored objects to scan again per second after a signature update. */
  @Variable('RESCAN_BYTES')
  @Bytes()
  readonly rescanBytesPerSecond: number = 10 * 2 ** 20;
}
