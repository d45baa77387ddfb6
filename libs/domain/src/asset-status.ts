import type { AssetEventType } from './events.js';

export const ASSET_STATUSES = [
  'PENDING',
  'PROCESSING',
  'READY',
  'REJECTED',
  'FAILED',
  'EXPIRED',
  'CANCELLED',
  'DELETED',
] as const;
export type AssetStatus = (typeof ASSET_STATUSES)[number];

/**
 * Effect of a transition on the owner's quota. `reserve`: reserve bytes; `use`: count bytes as used without a
 * reservation; `settle`: turn reserved bytes into used ones; `release`: free reserved bytes; `return`: free used bytes.
 */
export type QuotaEffect = 'reserve' | 'use' | 'settle' | 'release' | 'return' | 'none';
/** Whether the object in the incoming bucket is kept or deleted after the transition is committed. */
export type IncomingEffect = 'keep' | 'delete';

export type TransitionName =
  | 'request'
  | 'adopt'
  | 'claim'
  | 'retry'
  | 'accept'
  | 'apply'
  | 'reject'
  | 'fail'
  | 'revive'
  | 'lapse'
  | 'expire'
  | 'cancel'
  | 'delete'
  | 'abandon'
  | 'remove'
  | 'restore'
  | 'condemn';

/** One permitted change of an asset's status, with its event and effects. */
export interface Transition {
  readonly from: readonly AssetStatus[];
  readonly to: AssetStatus;
  readonly event: AssetEventType;
  readonly quota: QuotaEffect;
  readonly incoming: IncomingEffect;
}

/**
 * Every permitted change of an asset's status. A transition is one `UPDATE` conditional on the current status and the
 * version read before; zero rows means that a concurrent transition came first. The event and the quota effect belong
 * to the same transaction; the incoming object is handled after the commit.
 */
export const TRANSITIONS: Readonly<Record<TransitionName, Transition>> = {
  request: { from: [], to: 'PENDING', event: 'asset.requested', quota: 'reserve', incoming: 'keep' },
  // The owner has a READY asset with these bytes, so no upload is needed.
  adopt: { from: [], to: 'READY', event: 'asset.adopted', quota: 'use', incoming: 'delete' },
  claim: { from: ['PENDING'], to: 'PROCESSING', event: 'asset.received', quota: 'none', incoming: 'keep' },
  retry: { from: ['PROCESSING'], to: 'PROCESSING', event: 'asset.retried', quota: 'none', incoming: 'keep' },
  accept: { from: ['PROCESSING'], to: 'READY', event: 'asset.ready', quota: 'settle', incoming: 'delete' },
  // The bytes become those of the asset that the upload replaces.
  apply: { from: ['PROCESSING'], to: 'DELETED', event: 'asset.applied', quota: 'settle', incoming: 'delete' },
  reject: {
    from: ['PROCESSING'],
    to: 'REJECTED',
    event: 'asset.rejected',
    quota: 'release',
    incoming: 'delete',
  },
  fail: { from: ['PROCESSING'], to: 'FAILED', event: 'asset.failed', quota: 'none', incoming: 'keep' },
  expire: { from: ['PENDING'], to: 'EXPIRED', event: 'asset.expired', quota: 'release', incoming: 'delete' },
  cancel: {
    from: ['PENDING'],
    to: 'CANCELLED',
    event: 'asset.cancelled',
    quota: 'release',
    incoming: 'delete',
  },
  revive: { from: ['FAILED'], to: 'PROCESSING', event: 'asset.revived', quota: 'none', incoming: 'keep' },
  // The retention of the bytes ended without a retry by an operator.
  lapse: { from: ['FAILED'], to: 'EXPIRED', event: 'asset.lapsed', quota: 'release', incoming: 'delete' },
  // Three transitions to DELETED, for statuses with a restorable stored object, with a reservation, and with neither.
  delete: { from: ['READY'], to: 'DELETED', event: 'asset.deleted', quota: 'none', incoming: 'delete' },
  abandon: {
    from: ['PENDING', 'FAILED'],
    to: 'DELETED',
    event: 'asset.abandoned',
    quota: 'release',
    incoming: 'delete',
  },
  remove: {
    from: ['REJECTED', 'EXPIRED', 'CANCELLED'],
    to: 'DELETED',
    event: 'asset.removed',
    quota: 'none',
    incoming: 'delete',
  },
  // A scan with newer signatures found malware in stored bytes.
  condemn: { from: ['READY'], to: 'REJECTED', event: 'asset.condemned', quota: 'return', incoming: 'delete' },
  restore: { from: ['DELETED'], to: 'READY', event: 'asset.restored', quota: 'none', incoming: 'delete' },
};

const eventsOf = (isWanted: (transition: Transition) => boolean): readonly AssetEventType[] =>
  Object.values(TRANSITIONS)
    .filter(isWanted)
    .map(({ event }) => event);

/** The events that make an asset READY: after an upload, as a duplicate of another asset of its owner, and restored. */
export const BECAME_READY = eventsOf(({ to }) => to === 'READY');

/** The events after which a READY asset is READY no more. */
export const LEFT_READY = eventsOf(({ from }) => from.includes('READY'));

/**
 * Returns the transition that deletes an asset in this status; null for PROCESSING, which must end first, and DELETED.
 */
export const deletionOf = (status: AssetStatus): TransitionName | null =>
  (['delete', 'abandon', 'remove'] as const).find((name) => TRANSITIONS[name].from.includes(status)) ?? null;

/** Statuses in which the object in the incoming bucket is no longer needed. */
export const STATUSES_WITHOUT_INCOMING_OBJECT: readonly AssetStatus[] = ASSET_STATUSES.filter((status) =>
  Object.values(TRANSITIONS).some(({ to, incoming }) => to === status && incoming === 'delete'),
);

/** Why the service rejects bytes; stable, returned to clients as `statusReason.code`. */
export const REJECTION_CODES = [
  'CHECKSUM_MISMATCH',
  'SIZE_MISMATCH',
  'TYPE_MISMATCH',
  'TYPE_NOT_ALLOWED',
  'MALWARE',
  'UNSCANNABLE',
  'UNREADABLE',
  'TOO_MANY_PIXELS',
  'TOO_COSTLY',
  'REPLACEMENT_OBSOLETE',
] as const;

/** A reason of a feature, prefixed by its name: `ALBUMS_NOT_A_PHOTO`. */
export type FeatureReason = `${Uppercase<string>}_${Uppercase<string>}`;

/** Why bytes were rejected: by the service or by a content check of a feature. */
export type RejectionCode = (typeof REJECTION_CODES)[number] | FeatureReason;

export interface StatusReason {
  readonly code: RejectionCode | 'PROCESSING_FAILED';
  readonly message: string;
}
