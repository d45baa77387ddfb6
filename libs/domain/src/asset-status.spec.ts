import { describe, expect, it } from '@jest/globals';
import {
  ASSET_STATUSES,
  type AssetStatus,
  deletionOf,
  INCOMING_IS_WASTE,
  TRANSITIONS,
} from './asset-status.js';

/** Statuses from which work still has to go on by itself. */
const UNSETTLED: readonly AssetStatus[] = ['PENDING', 'PROCESSING'];

const all = Object.values(TRANSITIONS);

/** What stands in the quota for an asset in each status. */
const HELD: Record<AssetStatus, 'reserved' | 'used' | 'nothing' | 'either'> = {
  PENDING: 'reserved',
  PROCESSING: 'reserved',
  FAILED: 'reserved',
  READY: 'used',
  REJECTED: 'nothing',
  EXPIRED: 'nothing',
  CANCELLED: 'nothing',
  // What was READY goes on counting until it is purged; nothing else does.
  DELETED: 'either',
};
const AFTER = {
  reserve: 'reserved',
  use: 'used',
  settle: 'used',
  release: 'nothing',
  return: 'nothing',
} as const;

describe('TRANSITIONS', () => {
  it.each(Object.entries(TRANSITIONS))('%s leaves in the quota what its status holds', (_, transition) => {
    const { from, to, quota } = transition;
    for (const held of from.length === 0 ? ['nothing'] : from.map((status) => HELD[status])) {
      const left = quota === 'none' ? held : AFTER[quota];
      if (HELD[to] !== 'either' && held !== 'either') expect(left).toBe(HELD[to]);
      else expect(['used', 'nothing', 'either']).toContain(left);
    }
  });

  it('leaves incoming bytes to statuses that may still need them', () => {
    expect([...INCOMING_IS_WASTE].sort()).toEqual(['CANCELLED', 'DELETED', 'EXPIRED', 'READY', 'REJECTED']);
  });

  it('has a way out of every unsettled status', () => {
    for (const status of UNSETTLED) {
      const next = all.filter(({ from }) => from.includes(status)).map(({ to }) => to);
      expect(next.some((to) => to !== status)).toBe(true);
    }
  });

  it('can delete everything but what is PROCESSING or deleted already', () => {
    const undeletable = ASSET_STATUSES.filter((status) => deletionOf(status) === null);
    expect(undeletable).toEqual(['PROCESSING', 'DELETED']);
  });

  it('names each event once', () => {
    expect(new Set(all.map(({ event }) => event)).size).toBe(all.length);
  });
});
