import { randomFillSync } from 'node:crypto';
import { v7 } from 'uuid';

const BYTES = 16;
/** A question to the system for each id would take as long as making it. */
const pool = Buffer.allocUnsafe(256 * BYTES);
let used = pool.length;

/** A UUID that says when it was made, to the millisecond, and orders by that (RFC 9562, version 7). */
export function newAssetId(now: Date): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, (used += BYTES));
  return v7({ msecs: now.getTime(), random });
}
