/**
 * The life of an upload as the design has it, written apart from the services: states, what may happen to an asset next, and
 * what it holds of its owner's quota. Events carry their names without the prefix `asset.`.
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
  /** It was to be deleted while it was PROCESSING. */
  readonly asked: boolean;
  /** It points at a stored object. */
  readonly stored: boolean;
  readonly attempt: number;
}

export const NONE: AssetState = { status: 'NONE', asked: false, stored: false, attempt: 0 };

const SETTLED: readonly Status[] = ['REJECTED', 'EXPIRED', 'CANCELLED'];

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
  removed: [SETTLED, 'DELETED'],
  restored: [['DELETED'], 'READY'],
  purged: [['READY', 'DELETED', ...SETTLED], 'PURGED'],
};

/** Everything that can happen to an asset. */
export const EVENTS = Object.keys(MOVES);

const NEXT_ATTEMPT = ['received', 'retried', 'revived'];

/** A delete that came during PROCESSING: no event of the log, since nothing has happened yet. */
export const ASKED = 'asked';

/** The state after an event; null when the event cannot happen in this one. */
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

/** What an asset holds of its owner's quota. */
export function holds({ status, stored }: AssetState): 'reserved' | 'used' | 'nothing' {
  if (status === 'PENDING' || status === 'PROCESSING' || status === 'FAILED') return 'reserved';
  return stored ? 'used' : 'nothing';
}

/** Nothing more happens to it unless somebody asks for it. */
export const isTerminal = ({ status }: AssetState) =>
  !(['PENDING', 'PROCESSING', 'FAILED'] as Status[]).includes(status);

const MAX_ATTEMPTS = 5;

/** What an operation finds. Several answers are possible where others are at work at the same time. */
export interface Scene {
  /** Incoming bytes: of the claimed generation (right or wrong ones), of another, none. */
  readonly incoming: readonly ('right' | 'wrong' | 'other' | 'none')[];
  /** Its upload deadline has passed. */
  readonly isOverdue: boolean;
  /** Its bytes come by a session, whose state is asked for whenever a ticket is. */
  readonly isResumable: boolean;
  /** It is FAILED for as long as its bytes are kept. */
  readonly isForgotten: boolean;
  readonly hasOpenLetter: boolean;
  /** The attempt that the job is for; null for a job of another generation. */
  readonly jobAttempt: number | null;
  /** The stored object of the same bytes is just being deleted. */
  readonly isBusy: boolean;
  /** An error of no known kind may hit it. */
  readonly isBuggy: boolean;
}

/** Transitions in their order; those in one text, joined by `+`, happen together or not at all. */
export type Path = readonly string[];
export type Answer = 'ok' | 'conflict' | 'not-found' | 'unavailable';
export interface Outcome {
  readonly paths: readonly Path[];
  readonly answer: Answer;
}

const nothing = (answer: Answer = 'ok'): Outcome => ({ paths: [[]], answer });
const just = (...path: string[]): Outcome => ({ paths: [path], answer: 'ok' });

/** How a delete that was asked for meanwhile is taken along. */
const settling = (state: AssetState, event: 'ready' | 'rejected' | 'failed'): Path => {
  const deletion = { ready: 'deleted', rejected: 'removed', failed: 'abandoned' }[event];
  return [state.asked ? `${event}+${deletion}` : event];
};

function look(state: AssetState, { incoming }: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing();
  return { paths: incoming.map((bytes) => (bytes === 'none' ? [] : ['received'])), answer: 'ok' };
}

function work(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PROCESSING' || scene.jobAttempt !== state.attempt) return nothing();
  const ends = scene.incoming.map((bytes) =>
    bytes === 'right' ? 'ready' : bytes === 'wrong' ? 'rejected' : 'failed',
  );
  if (scene.isBusy && ends.includes('ready')) return nothing('unavailable');
  const paths = ends.map((end) => settling(state, end));
  return { paths: scene.isBuggy ? [...paths, ...giveUp(state).paths] : paths, answer: 'ok' };
}

const giveUp = (state: AssetState): Outcome =>
  state.attempt < MAX_ATTEMPTS ? just('retried') : { paths: [settling(state, 'failed')], answer: 'ok' };

function sweep(state: AssetState, scene: Scene): Outcome {
  if (state.status === 'FAILED') return { paths: scene.isForgotten ? [[], ['lapsed']] : [[]], answer: 'ok' };
  if (state.status !== 'PENDING') return nothing();
  const paths: Path[] = [[]];
  if (scene.incoming.some((bytes) => bytes !== 'none')) paths.push(['received']);
  if (scene.isOverdue && scene.incoming.includes('none')) paths.push(['expired']);
  return { paths, answer: 'ok' };
}

/** A repeated idempotency key: past its deadline it is what a sweeper would make of it. */
function replay(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing();
  if (!scene.isOverdue) return scene.isResumable ? look(state, scene) : nothing();
  return {
    paths: scene.incoming.map((bytes) => [bytes === 'none' ? 'expired' : 'received']),
    answer: 'ok',
  };
}

function renew(state: AssetState, scene: Scene): Outcome {
  if (state.status !== 'PENDING') return nothing('conflict');
  if (!scene.isResumable) return nothing(scene.isOverdue ? 'conflict' : 'ok');
  const isThere = scene.incoming.some((bytes) => bytes !== 'none');
  return { ...look(state, scene), answer: scene.isOverdue || isThere ? 'conflict' : 'ok' };
}

function remove(state: AssetState): Outcome {
  if (state.status === 'READY') return just('deleted');
  if (state.status === 'PENDING' || state.status === 'FAILED') return just('abandoned');
  if (state.status === 'PROCESSING') return just(ASKED);
  return SETTLED.includes(state.status) ? just('removed') : nothing();
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

/** What each operation does to the asset that it is about. */
export const OUTCOMES: Readonly<Record<string, (state: AssetState, scene: Scene) => Outcome>> = {
  notify: look,
  complete: unlessGone(look),
  work,
  die: (state, { jobAttempt }) =>
    state.status === 'PROCESSING' && jobAttempt === state.attempt ? giveUp(state) : nothing(),
  sweep,
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
