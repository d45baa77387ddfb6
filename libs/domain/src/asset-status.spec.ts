import { describe, expect, it } from '@jest/globals';
import {
  ASSET_STATUSES,
  type AssetStatus,
  INCOMING_IS_WASTE,
  TRANSITIONS,
  UNSETTLED,
} from './asset-status.js';

const all = Object.values(TRANSITIONS);

/** What stands in the quota for an asset in each status. */
const HELD: Record<AssetStatus, 'reserved' | 'used' | 'nothing'> = {
  PENDING: 'reserved',
  PROCESSING: 'reserved',
  FAILED: 'reserved',
  READY: 'used',
  DELETED: 'used',
  REJECTED: 'nothing',
  EXPIRED: 'nothing',
  CANCELLED: 'nothing',
};
const AFTER = { reserve: 'reserved', settle: 'used', release: 'nothing' } as const;

describe('TRANSITIONS', () => {
  it.each(Object.entries(TRANSITIONS))(
    '%s leaves in the quota what its status holds',
    (_, { from, to, quota }) => {
      for (const status of from) expect(HELD[to]).toBe(quota === 'none' ? HELD[status] : AFTER[quota]);
      if (from.length === 0) expect(AFTER[quota as 'reserve']).toBe(HELD[to]);
    },
  );

  it('leaves incoming bytes to statuses that may still need them', () => {
    expect([...INCOMING_IS_WASTE].sort()).toEqual(['CANCELLED', 'EXPIRED', 'READY', 'REJECTED']);
  });

  it('has a way out of every unsettled status and no way into a settled one from another settled one but FAILED', () => {
    for (const status of UNSETTLED) {
      const next = all.filter(({ from }) => from.includes(status)).map(({ to }) => to);
      expect(next.some((to) => !UNSETTLED.includes(to) || to !== status)).toBe(true);
    }
    const settled = ASSET_STATUSES.filter((status) => !UNSETTLED.includes(status));
    for (const { from } of all) expect(from.filter((status) => settled.includes(status))).toEqual([]);
  });

  it('names each event once', () => {
    expect(new Set(all.map(({ event }) => event)).size).toBe(all.length);
  });
});
