import type { AssetReceived } from '#libs/domain';
import type { UploadTicket } from '#libs/upload';
import { sha256 } from '../../libs/testing/src/world.js';
import { claim } from './invariants.js';
import { type AssetState, isTerminal } from './model.js';
import type { AssetRow, Tables } from './observation.js';
import type { Seen } from './prediction.js';
import { ANY_SLOT, CONTENTS, type Item, type Operation, OWNERS } from './steps.js';

/** One item of an upload request, as its client knows it. */
export interface Slot {
  readonly owner: number;
  readonly item: Item;
  readonly filename: string;
  readonly key: string | null;
  /** Answer to the request. Null while the request runs, and for good if its process died. */
  answer: string | null;
  assetId: string | null;
  ticket: UploadTicket | null;
}

/** A job in the queue. `jobId` is null for a repeated delivery, which the queue does not know. */
type QueuedJob = AssetReceived & { readonly jobId: string | null };

/** An operation whose choices are all resolved before it starts, so that none depends on timing. */
export interface ResolvedOperation {
  readonly operation: Operation;
  /** Slots that a request creates, otherwise the slot that the operation is about. */
  readonly slots: readonly Slot[];
  readonly assetId: string | null;
  readonly job: QueuedJob | null;
  readonly letter: number | null;
}

export const bytesOf = (slot: Slot) => CONTENTS[slot.item.content]!;
export const sumOf = (slot: Slot) => sha256(bytesOf(slot));

/** Other bytes of the same length. */
export function wrongBytesOf(slot: Slot): Buffer {
  const bytes = Buffer.from(bytesOf(slot));
  bytes[0] = bytes[0]! ^ 1;
  return bytes;
}

type StateOf = (assetId: string) => AssetState | undefined;

/** Resolves the slots, jobs and dead letters of operations, and maps assets to the request items that created them. */
export class ResolvedOperations {
  private readonly slots: Slot[] = [];

  of(operation: Operation, { tables, incoming }: Seen, stateOf: StateOf): ResolvedOperation {
    const bare = { operation, slots: [], assetId: null, job: null, letter: null };
    if (operation.do === 'task') return bare;
    if (operation.do === 'request') {
      return {
        ...bare,
        slots: operation.items.map((item) => this.add(1 + (operation.owner % OWNERS), item)),
      };
    }
    const isNext = operation.do === 'advance';
    const slot = this.pick(operation.slot, isNext, stateOf);
    const assetId = slot?.assetId ?? null;
    if (slot === undefined || assetId === null) return { ...bare, slots: slot === undefined ? [] : [slot] };
    const isQueued = tables.jobs.some(({ data }) => data.assetId === assetId);
    const made = isNext ? nextOf(stateOf(assetId), incoming.has(assetId), isQueued) : operation;
    if (made.do === 'task') return { ...bare, operation: made };
    const job = jobOf(tables, assetId, made.do === 'work' && made.stale);
    const letter = tables.letters.findLast((each) => each.assetId === assetId)?.id ?? null;
    return { operation: made, slots: [slot], assetId, job, letter };
  }

  /** Returns the slot number by which an operation addresses the asset. */
  slotOf(assetId: string): number {
    const index = this.slots.findIndex((slot) => slot.assetId === assetId);
    claim(index >= 0, 'an asset has no slot', assetId);
    return ANY_SLOT + this.slots.length - 1 - index;
  }

  /** Assigns a new row to the item that requested it. */
  attribute({ id, owner, filename }: AssetRow): void {
    const slot = this.slots.findLast((each) => each.owner === owner && each.filename === filename);
    claim(slot !== undefined, 'no item requested an asset', { id, filename });
    // A client whose request died without an answer does not know the id, but the model does.
    slot.assetId ??= id;
  }

  private add(owner: number, item: Item): Slot {
    const key = item.key === null ? null : `key ${item.key}`;
    const filename =
      key === null ? `number ${this.slots.length}.txt` : `${key} ${item.content} ${item.method}.txt`;
    const slot = { owner, item, filename, key, answer: null, assetId: null, ticket: null };
    this.slots.push(slot);
    return slot;
  }

  private pick(back: number, isUnfinished: boolean, stateOf: StateOf): Slot | undefined {
    const isFit = ({ assetId }: Slot) => {
      const state = assetId === null ? undefined : stateOf(assetId);
      return state !== undefined && (isUnfinished ? !isTerminal(state) : state.status !== 'PURGED');
    };
    const isAny = back >= ANY_SLOT;
    const slots = isAny ? this.slots : this.slots.filter(isFit);
    return slots.at(-1 - ((isAny ? back - ANY_SLOT : back) % Math.max(slots.length, 1)));
  }
}

/** Returns the next operation of an undisturbed upload, or the task that recovers a disturbed one. */
function nextOf(state: AssetState | undefined, hasBytes: boolean, isQueued: boolean): Operation {
  if (state?.status === 'PROCESSING') {
    return isQueued
      ? { do: 'work', slot: 0, stale: false }
      : { do: 'task', name: 'reconcile-uploads', isDryRun: false };
  }
  if (state?.status === 'FAILED') return { do: 'revive', slot: 0 };
  return hasBytes ? { do: 'notify', slot: 0 } : { do: 'put', slot: 0, body: 'right' };
}

/** Returns the queued job, or a repeated delivery of it. `stale` selects a job of the previous attempt. */
function jobOf(tables: Tables, assetId: string, stale: boolean): QueuedJob | null {
  const queued = tables.jobs.find(({ data }) => data.assetId === assetId);
  if (queued !== undefined && !stale) return { ...queued.data, jobId: queued.id };
  const asset = tables.assets.find(({ id }) => id === assetId);
  if (asset === undefined || asset.claimed === null) return null;
  const attempt = stale ? asset.attempt - 1 : asset.attempt;
  return { assetId, generation: asset.claimed, attempt, requestId: 'property', jobId: null };
}
