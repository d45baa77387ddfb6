import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const BYTES = 16;
/** Random bytes for 256 ids, since a system call per id would take as long as the rest of creating it. */
const pool = Buffer.allocUnsafe(256 * BYTES);
let used = pool.length;

/** Creates a UUID of version 7 (RFC 9562), which contains the time in milliseconds and sorts by it. */
export function newAssetId(now: Date): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, (used += BYTES));
  return v7({ msecs: now.getTime(), random });
}
