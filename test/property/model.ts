/**
 * Life cycle of an upload as designed, written independently of the services: states, possible events, and the quota that
 * an asset holds. Event names lack the prefix `asset.`.
 */
export type Status =
  | 'NONE'
  | 'PENDING'
  | 'PROCESSING'
  | 'READY'
  | 'REJECTED'
  | 'FAILED'
  | 'EXPIRED'
  | 'CANCELLED'
  | 'DELETED'
  | 'PURGED';

export interface AssetState {
  readonly status: Status;
  /** A delete was requested during PROCESSING. */
  readonly asked: boolean;
  /** The asset points at a stored object. */
  readonly stored: boolean;
  readonly attempt: number;
}

export const NONE: AssetState = { status: 'NONE', asked: false, stored: false, attempt: 0 };

const UNSUCCESSFUL: readonly Status[] = ['REJECTED', 'EXPIRED', 'CANCELLED'];

const MOVES: Readonly<Record<string, readonly [from: readonly Status[], to: Status]>> = {
  requested: [['NONE'], 'PENDING'],
  adopted: [['NONE'], 'READY'],
  received: [['PENDING'], 'PROCESSING'],
  retried: [['PROCESSING'], 'PROCESSING'],
  ready: [['PROCESSING'], 'READY'],
  rejected: [['PROCESSING'], 'REJECTED'],
  failed: [['PROCESSING'], 'FAILED'],
  revived: [['FAILED'], 'PROCESSING'],
  lapsed: [['FAILED'], 'EXPIRED'],
  expired: [['PENDING'], 'EXPIRED'],
  cancelled: [['PENDING'], 'CANCELLED'],
  deleted: [['READY'], 'DELETED'],
  abandoned: [['PENDING', 'FAILED'], 'DELETED'],
  removed: [UNSUCCESSFUL, 'DELETED'],
  restored: [['DELETED'], 'READY'],
  purged: [['READY', 'DELETED', ...UNSUCCESSFUL], 'PURGED'],
};

/** All events that can happen to an asset. */
export const EVENTS = Object.keys(MOVES);

const NEXT_ATTEMPT = ['received', 'retried', 'revived'];

/** A delete that is requested during PROCESSING. The log has no event for it, because the status does not change yet. */
export const ASKED = 'asked';

/** Returns the state after an event, or null if the event is impossible in this state. */
export function after(state: AssetState, event: string): AssetState | null {
  if (event === ASKED) return state.status === 'PROCESSING' ? { ...state, asked: true } : null;
  const move = MOVES[event];
  if (move === undefined || !move[0].includes(state.status)) return null;
  if (event === 'restored' && !state.stored) return null;
  const status = move[1];
  return {
    status,
    asked: state.asked && status === 'PROCESSING',
    stored: status === 'READY' || (status === 'DELETED' && state.stored),
    attempt: state.attempt + (NEXT_ATTEMPT.includes(event) ? 1 : 0),
  };
}

export const afterAll = (state: AssetState, events: readonly string[]): AssetState | null =>
  events.reduce<AssetState | null>((seen, event) => seen && after(seen, event), state);

/** Returns the kind of quota that an asset holds. */
export function holds({ status, stored }: AssetState): 'reserved' | 'used' | 'nothing' {
  if (status === 'PENDING' || status === 'PROCESSING' || status === 'FAILED') return 'reserved';
  return stored ? 'used' : 'nothing';
}

/** Whether the asset changes only on request. */
export const isTerminal = ({ status }: AssetState) =>
  !(['PENDING', 'PROCESSING', 'FAILED'] as Status[]).includes(status);

const MAX_ATTEMPTS = 5;

/** The situation that an operation meets. Several values are possible while other operations run. */
export interface Scene {
  /** Incoming bytes: of the claimed generation (right or wrong bytes), of another generation, or none. */
  readonly incoming: readonly ('right' | 'wrong' | 'other' | 'none')[];
  /** The upload deadline has passed. */
  readonly isOverdue: boolean;
  /** The upload has a session, whose state is queried with every ticket. */
  readonly isResumable: boolean;
  /** The asset has been FAILED for as long as its bytes are kept. */
  readonly isForgotten: boolean;
  /** The asset has not changed for as long as deleted and unsuccessful ones are kept. */
  readonly isKeptLong: boolean;
  readonly hasOpenLetter: boolean;
  /** Attempt of the job, or null for a job of another generation. */
  readonly jobAttempt: number | null;
  /** The stored object with these bytes is being deleted. */
  readonly isBusy: boolean;
  /** An unexpected error may hit the operation. */
  readonly isBuggy: boolean;
}

/** Transitions in order. Transitions joined by `+` happen together or not at all. */
export type Path = readonly string[];
export type Answer = 'ok' | 'conflict' | 'not-found' | 'unavailable';
export interface Outcome {
  readonly paths: readonly Path[];
  readonly answer: Answer;
}

const nothing = (answer: Answer = 'ok'): Outcome => ({ paths: [[]], answer });
const just = (...path: string[]): Outcome => ({ paths: [path], answer: 'ok' });

/** Adds a deletion that was requested during PROCESSING. */
const withDeletion = (state: AssetState, event: 'ready' | 'rejected' | 'failed'): Path => {
  const deletion = { ready: 'deleted', rejected: 'removed', failed: 'abandoned' }[event];
  return [state.asked ? `${event}+${deletion}` : event];
};

function checkObject(state: AssetState, { incoming }: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing();
  return { paths: incoming.map((bytes) => (bytes === 'none' ? [] : ['received'])), answer: 'ok' };
}

function work(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PROCESSING' || scene.jobAttempt !== state.attempt) return nothing();
  const ends = scene.incoming.map((bytes) =>
    bytes === 'right' ? 'ready' : bytes === 'wrong' ? 'rejected' : 'failed',
  );
  if (scene.isBusy && ends.includes('ready')) return nothing('unavailable');
  const paths = ends.map((end) => withDeletion(state, end));
  return { paths: scene.isBuggy ? [...paths, ...giveUp(state).paths] : paths, answer: 'ok' };
}

const giveUp = (state: AssetState): Outcome =>
  state.attempt < MAX_ATTEMPTS ? just('retried') : { paths: [withDeletion(state, 'failed')], answer: 'ok' };

/** A task that makes a change if the asset is due for a check. */
const perhaps = (isPossible: boolean, event: string): Outcome => ({
  paths: isPossible ? [[], [event]] : [[]],
  answer: 'ok',
});

const hasObject = ({ incoming }: Scene) => incoming.some((bytes) => bytes !== 'none');

function reconcile(state: AssetState, scene: Scene): Outcome {
  if (state.status === 'FAILED') return perhaps(scene.isForgotten, 'lapsed');
  return perhaps(state.status === 'PENDING' && !scene.isOverdue && hasObject(scene), 'received');
}

function expire(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PENDING' || !scene.isOverdue) return nothing();
  const paths: Path[] = [[]];
  if (hasObject(scene)) paths.push(['received']);
  if (scene.incoming.includes('none')) paths.push(['expired']);
  return { paths, answer: 'ok' };
}

/** A repeated idempotency key. Past the deadline it has the effect of a sweep. */
function replay(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing();
  if (!scene.isOverdue) return scene.isResumable ? checkObject(state, scene) : nothing();
  return {
    paths: scene.incoming.map((bytes) => [bytes === 'none' ? 'expired' : 'received']),
    answer: 'ok',
  };
}

function renew(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing('conflict');
  if (!scene.isResumable) return nothing(scene.isOverdue ? 'conflict' : 'ok');
  const hasBytes = scene.incoming.some((bytes) => bytes !== 'none');
  return { ...checkObject(state, scene), answer: scene.isOverdue || hasBytes ? 'conflict' : 'ok' };
}

function remove(state: AssetState): Outcome {
  if (state.status === 'READY') return just('deleted');
  if (state.status === 'PENDING' || state.status === 'FAILED') return just('abandoned');
  if (state.status === 'PROCESSING') return just(ASKED);
  return UNSUCCESSFUL.includes(state.status) ? just('removed') : nothing();
}

function purge(state: AssetState): Outcome {
  if (state.status === 'PROCESSING') return nothing('conflict');
  return isTerminal(state) ? just('purged') : just('abandoned', 'purged');
}

const isGone = ({ status }: AssetState) => status === 'PURGED' || status === 'NONE';
const unlessGone =
  (change: (state: AssetState, scene: Scene) => Outcome) =>
  (state: AssetState, scene: Scene): Outcome =>
    isGone(state) ? nothing('not-found') : change(state, scene);

const isPending = ({ status }: AssetState) => status === 'PENDING';

/** Effect of each operation on its asset. */
export const OUTCOMES: Readonly<Record<string, (state: AssetState, scene: Scene) => Outcome>> = {
  notify: checkObject,
  complete: unlessGone(checkObject),
  work,
  die: (state, { jobAttempt }) =>
    state.status === 'PROCESSING' && jobAttempt === state.attempt ? giveUp(state) : nothing(),
  'expire-uploads': expire,
  'reconcile-uploads': reconcile,
  'purge-deleted': ({ status }, { isKeptLong }) => perhaps(status === 'DELETED' && isKeptLong, 'purged'),
  'prune-uploads': ({ status }, { isKeptLong }) =>
    perhaps(UNSUCCESSFUL.includes(status) && isKeptLong, 'purged'),
  replay,
  renew: unlessGone(renew),
  cancel: unlessGone((state) => {
    if (isPending(state)) return just('cancelled');
    return nothing(state.status === 'CANCELLED' ? 'ok' : 'conflict');
  }),
  delete: unlessGone(remove),
  restore: unlessGone((state) => {
    if (state.status === 'DELETED' && state.stored) return just('restored');
    return nothing(state.status === 'READY' ? 'ok' : 'conflict');
  }),
  purge: unlessGone(purge),
  revive: (state, { hasOpenLetter }) =>
    state.status === 'FAILED' && hasOpenLetter ? just('revived') : nothing(),
  nothing: () => nothing(),
};
