import { describe, expect, it } from '@jest/globals';
import {
  ASSET_STATUSES,
  type AssetStatus,
  BECAME_READY,
  deletionOf,
  LEFT_READY,
  STATUSES_WITHOUT_INCOMING_OBJECT,
  TRANSITIONS,
} from './asset-status.js';
import { ASSET_EVENT_TYPES } from './events.js';

/** Statuses from which an asset must proceed without a client's request. */
const IN_PROGRESS: readonly AssetStatus[] = ['PENDING', 'PROCESSING'];

const all = Object.values(TRANSITIONS);

/** The quota state of an asset in each status. */
const QUOTA_STATE: Record<AssetStatus, 'reserved' | 'used' | 'nothing' | 'either'> = {
  PENDING: 'reserved',
  PROCESSING: 'reserved',
  FAILED: 'reserved',
  READY: 'used',
  REJECTED: 'nothing',
  EXPIRED: 'nothing',
  CANCELLED: 'nothing',
  // A deleted asset counts until its purge if it was READY before; otherwise it counts no longer.
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
  it.each(Object.entries(TRANSITIONS))(
    'keeps the quota consistent with the status after %s',
    (_, transition) => {
      const { from, to, quota } = transition;
      for (const held of from.length === 0 ? ['nothing'] : from.map((status) => QUOTA_STATE[status])) {
        const left = quota === 'none' ? held : AFTER[quota];
        if (QUOTA_STATE[to] !== 'either' && held !== 'either') expect(left).toBe(QUOTA_STATE[to]);
        else expect(['used', 'nothing', 'either']).toContain(left);
      }
    },
  );

  it('has one event type per transition, besides those of other changes', () => {
    const others = [
      'asset.replaced',
      'asset.updated',
      'asset.access-changed',
      'asset.transferred',
      'asset.purged',
    ];
    expect([...all.map(({ event }) => event), ...others].sort()).toEqual([...ASSET_EVENT_TYPES].sort());
  });

  it('names the events by which assets become READY and cease to be READY', () => {
    expect([...BECAME_READY].sort()).toEqual(['asset.adopted', 'asset.ready', 'asset.restored']);
    expect([...LEFT_READY].sort()).toEqual(['asset.condemned', 'asset.deleted']);
  });

  it('keeps the incoming object in statuses that may still need it', () => {
    expect([...STATUSES_WITHOUT_INCOMING_OBJECT].sort()).toEqual([
      'CANCELLED',
      'DELETED',
      'EXPIRED',
      'READY',
      'REJECTED',
    ]);
  });

  it('has a transition out of every status in progress', () => {
    for (const status of IN_PROGRESS) {
      const next = all.filter(({ from }) => from.includes(status)).map(({ to }) => to);
      expect(next.some((to) => to !== status)).toBe(true);
    }
  });

  it('can delete an asset in every status but PROCESSING and DELETED', () => {
    const undeletable = ASSET_STATUSES.filter((status) => deletionOf(status) === null);
    expect(undeletable).toEqual(['PROCESSING', 'DELETED']);
  });

  it('uses each event name once', () => {
    expect(new Set(all.map(({ event }) => event)).size).toBe(all.length);
  });
});
