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
 * What a transition does to the owner's quota. `settle`: reserved becomes used; `release`: reserved is given back;
 * `return`: used is given back; `use`: used at once.
 */
export type QuotaEffect = 'reserve' | 'use' | 'settle' | 'release' | 'return' | 'none';
/** What becomes of the object in the incoming bucket once the transition is committed. */
export type IncomingEffect = 'keep' | 'delete';

export type TransitionName =
  | 'request'
  | 'adopt'
  | 'claim'
  | 'retry'
  | 'accept'
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

export interface Transition {
  readonly from: readonly AssetStatus[];
  readonly to: AssetStatus;
  readonly event: `asset.${string}`;
  readonly quota: QuotaEffect;
  readonly incoming: IncomingEffect;
}

/**
 * Every change of an asset's status. A transition is one `UPDATE` that names the status it leaves and the version it
 * saw; zero rows means that somebody else was faster. Its event and its quota effect belong to the same transaction,
 * the incoming object is dealt with after the commit.
 */
export const TRANSITIONS: Readonly<Record<TransitionName, Transition>> = {
  request: { from: [], to: 'PENDING', event: 'asset.requested', quota: 'reserve', incoming: 'keep' },
  // The owner has these very bytes already: nothing needs to be sent.
  adopt: { from: [], to: 'READY', event: 'asset.adopted', quota: 'use', incoming: 'delete' },
  claim: { from: ['PENDING'], to: 'PROCESSING', event: 'asset.received', quota: 'none', incoming: 'keep' },
  retry: { from: ['PROCESSING'], to: 'PROCESSING', event: 'asset.retried', quota: 'none', incoming: 'keep' },
  accept: { from: ['PROCESSING'], to: 'READY', event: 'asset.ready', quota: 'settle', incoming: 'delete' },
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
  // Nobody tried again while the bytes were kept.
  lapse: { from: ['FAILED'], to: 'EXPIRED', event: 'asset.lapsed', quota: 'release', incoming: 'delete' },
  // Three ways to DELETED, by what the status held: a stored object that can be restored, a reservation, or nothing.
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
  // New signatures found something in bytes that had been stored.
  condemn: { from: ['READY'], to: 'REJECTED', event: 'asset.condemned', quota: 'return', incoming: 'delete' },
  restore: { from: ['DELETED'], to: 'READY', event: 'asset.restored', quota: 'none', incoming: 'delete' },
};

/** How an asset of each status is deleted; PROCESSING is deleted when it settles. */
export const deletionOf = (status: AssetStatus): TransitionName | null =>
  (['delete', 'abandon', 'remove'] as const).find((name) => TRANSITIONS[name].from.includes(status)) ?? null;

/** Statuses in which an object in the incoming bucket serves nobody any more. */
export const INCOMING_IS_WASTE: readonly AssetStatus[] = ASSET_STATUSES.filter((status) =>
  Object.values(TRANSITIONS).some(({ to, incoming }) => to === status && incoming === 'delete'),
);

/** Why bytes were refused; stable, shown to clients as `statusReason.code`. */
export type RejectionCode =
  | 'CHECKSUM_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'TYPE_MISMATCH'
  | 'TYPE_NOT_ALLOWED'
  | 'MALWARE'
  | 'UNSCANNABLE'
  | 'UNREADABLE'
  | 'TOO_MANY_PIXELS'
  | 'TOO_COSTLY';

export interface StatusReason {
  readonly code: RejectionCode | 'PROCESSING_FAILED';
  readonly message: string;
}
