import { afterAll, ASKED, type AssetState, type Outcome, OUTCOMES, type Path, type Scene } from './model.js';
import { INCOMING } from '../../libs/testing/src/world.js';
import { type ResolvedOperation, type Slot, sumOf } from './resolved-operations.js';
import type { Inventory } from './inventory.js';
import type { AssetRow, Tables } from './observation.js';
import { CONTENTS, QUOTA } from './steps.js';

/** One possible result of a step for an asset. */
interface Way {
  /** Events that the log must have for this result. */
  readonly events: readonly string[];
  readonly state: AssetState;
}

const FAILED_KEEP_MS = 7 * 24 * 3_600_000;
/** Time for which deleted assets and unsuccessful uploads are kept. */
const KEPT_MS = 30 * 24 * 3_600_000;

/** The tables, and the generations in the incoming bucket by key. */
export interface Seen {
  readonly tables: Tables;
  readonly incoming: ReadonlyMap<string, string>;
}

/** State of an asset in the model. */
export interface Known {
  readonly state: AssetState;
  readonly failedAt: number;
  readonly failures: number;
}

interface Circumstances {
  /** Row of the asset before the step. */
  readonly row: AssetRow | undefined;
  readonly known: Known;
  readonly seen: Seen;
  readonly inventory: Inventory;
  readonly now: number;
  /** No other operation runs, and no fault is injected. */
  readonly isExact: boolean;
  readonly isBuggy: boolean;
}

/** Returns the scene that an operation meets. */
export function sceneOf({ job, letter }: ResolvedOperation, at: Circumstances): Scene {
  const { row, known, seen, inventory, isExact, isBuggy, now } = at;
  const generation = row && seen.incoming.get(row.id);
  const isRight = row?.claimed && inventory.sumAt(INCOMING, row.claimed) === row.sum;
  const claimed = isRight ? 'right' : 'wrong';
  const present = generation === row?.claimed ? claimed : 'other';
  const possible =
    row && inventory.hasSent(row.id) ? ([claimed, 'other', 'none'] as const) : (['none'] as const);
  const isDeleting = seen.tables.stored.some(({ sum, state }) => sum === row?.sum && state === 'DELETING');
  return {
    incoming: isExact ? [generation === undefined ? 'none' : present] : possible,
    isOverdue: row !== undefined && row.deadline <= now,
    isResumable: row?.method === 'RESUMABLE',
    isForgotten: known.state.status === 'FAILED' && known.failedAt + FAILED_KEEP_MS <= now,
    isKeptLong: row !== undefined && row.changedAt + KEPT_MS <= now,
    hasOpenLetter: seen.tables.letters.find(({ id }) => id === letter)?.state === 'OPEN',
    jobAttempt: job !== null && job.generation === row?.claimed ? job.attempt : null,
    isBusy: isExact && isDeleting,
    isBuggy,
  };
}

const nothing: Outcome = { paths: [[]], answer: 'ok' };

const isAnswerOf = (resolved: ResolvedOperation, row: AssetRow | undefined) =>
  resolved.slots.some(
    ({ owner, key, filename }) => key !== null && owner === row?.owner && filename === row.filename,
  );

/** Returns the possible outcomes of an operation for an asset in this state. */
export function outcomeOf(
  resolved: ResolvedOperation,
  assetId: string,
  row: AssetRow | undefined,
  state: AssetState,
  scene: Scene,
): Outcome {
  const { operation } = resolved;
  if (operation.do === 'task')
    return operation.isDryRun ? nothing : (OUTCOMES[operation.name]?.(state, scene) ?? nothing);
  if (operation.do === 'request') {
    if (state.status !== 'NONE') return isAnswerOf(resolved, row) ? OUTCOMES.replay!(state, scene) : nothing;
    const isNew = resolved.slots.some(
      ({ owner, filename }) => row?.owner === owner && row.filename === filename,
    );
    if (!isNew) return nothing;
    // An upload without a key whose session cannot be opened releases its reservation.
    return { paths: [[], ['requested'], ['adopted'], ['requested', 'cancelled']], answer: 'ok' };
  }
  return resolved.assetId === assetId ? (OUTCOMES[operation.do]?.(state, scene) ?? nothing) : nothing;
}

/** A path and its prefixes: the results of an operation that may be interrupted. */
const beginnings = (path: Path): Path[] => [...path.map((_, index) => path.slice(0, index)), path];

/** All results of some operations in any order. `partial`: each may be interrupted or come too late. */
export function waysOf(
  allResolved: readonly ResolvedOperation[],
  start: AssetState,
  outcome: (resolved: ResolvedOperation, state: AssetState) => Outcome,
  partial: boolean,
): Way[] {
  const orders = allResolved.length < 2 ? [allResolved] : [allResolved, [...allResolved].reverse()];
  return orders.flatMap((order) =>
    order.reduce<Way[]>(
      (ways, resolved) =>
        ways.flatMap(({ events, state }) => {
          const { paths } = outcome(resolved, state);
          return (partial ? paths.flatMap(beginnings) : paths).flatMap((path) => {
            const more = path.flatMap((together) => together.split('+'));
            const next = afterAll(state, more);
            return next === null
              ? []
              : [{ events: [...events, ...more.filter((event) => event !== ASKED)], state: next }];
          });
        }),
      [{ events: [], state: start }],
    ),
  );
}

/** Expected answers to the items of a request while no other operation runs. Items are served in order. */
export function expectAnswers(
  slots: readonly Slot[],
  rows: readonly AssetRow[],
  now: number,
  hasBytes: (row: AssetRow) => boolean,
): { readonly answer: string; readonly isNew: boolean }[] {
  const own = rows.filter(({ owner }) => owner === slots[0]?.owner);
  const counting = own.filter(
    ({ status, stored }) => stored !== null || ['PENDING', 'PROCESSING', 'FAILED'].includes(status),
  );
  let bytes = QUOTA.quotaBytes - counting.reduce((sum, { size }) => sum + size, 0);
  let assets = QUOTA.quotaAssets - counting.length;
  const keys = new Map(own.map((row) => [row.idempotencyKey, row]));
  const fresh = new Map<string, { filename: string; answer: string }>();
  return slots.map((slot) => {
    const before = slot.key === null ? undefined : keys.get(slot.key);
    const sibling = slot.key === null ? undefined : fresh.get(slot.key);
    const taken = before ?? sibling;
    if (taken !== undefined && taken.filename !== slot.filename)
      return { answer: 'IDEMPOTENCY_KEY_REUSED', isNew: false };
    if (before !== undefined) return { answer: replayed(before, now, hasBytes(before)), isNew: false };
    if (sibling !== undefined) return { answer: sibling.answer, isNew: false };
    const size = CONTENTS[slot.item.content]!.length;
    if (size > bytes || assets < 1) return { answer: 'QUOTA_EXCEEDED', isNew: false };
    bytes -= size;
    assets -= 1;
    const hasDuplicate = own.some(({ status, sum }) => status === 'READY' && sum === sumOf(slot));
    const answer = hasDuplicate ? 'READY' : 'PENDING';
    if (slot.key !== null) fresh.set(slot.key, { filename: slot.filename, answer });
    return { answer, isNew: true };
  });
}

function replayed(row: AssetRow, now: number, hasBytes: boolean): string {
  if (row.status !== 'PENDING') return row.status;
  // Storage reports that the session has finished.
  if (row.deadline > now) return hasBytes && row.method === 'RESUMABLE' ? 'PROCESSING' : 'PENDING';
  return hasBytes ? 'PROCESSING' : 'EXPIRED';
}

/** Upload deadline, in milliseconds, of a ticket or session that is created now. */
export const deadlineOf = (slot: Slot, now: number): number =>
  now + (slot.item.method === 'RESUMABLE' ? 7 * 24 * 3_600_000 : 900_000 + 3_600_000);
