import fc from 'fast-check';
import type { Fault } from './effects.js';

/** Few owners and few contents, so that duplicates of an owner's and of other owners' files are common. */
export const OWNERS = 3;
export const CONTENTS = [1, 120, 260, 400, 20, 21, 22, 23, 24, 25].map((size, index) =>
  Buffer.alloc(size, `${'abcdefghij'[index]} content `),
);
/** Number of contents that every upload may use. The others are for the few steps that need an object of their own. */
const COMMON = 4;
/** Small enough that requests are refused, for bytes and for files. */
export const QUOTA = { quotaBytes: 1_700, quotaAssets: 9 };

export interface Item {
  /** Index into {@link CONTENTS}. */
  readonly content: number;
  readonly method: 'PUT' | 'RESUMABLE';
  /** One of few idempotency keys of the owner, so that keys are reused. */
  readonly key: number | null;
}

/** Tasks of the operator and of the schedule. */
export const TASKS = [
  'expire-uploads',
  'reconcile-uploads',
  'remove-incoming',
  'remove-unreferenced',
  'purge-deleted',
  'prune-uploads',
  'collect-orphans',
  'verify-integrity',
  'audit-counts',
] as const;
export type TaskName = (typeof TASKS)[number];

/**
 * `slot` counts back from the newest existing asset. From {@link ANY_SLOT} on it counts back over all items ever requested,
 * including refused, purged and unanswered ones.
 */
export type Operation =
  | { readonly do: 'request'; readonly owner: number; readonly items: readonly Item[] }
  | { readonly do: 'put'; readonly slot: number; readonly body: 'right' | 'wrong' }
  | { readonly do: 'work'; readonly slot: number; readonly stale: boolean }
  | { readonly do: 'task'; readonly name: TaskName; readonly isDryRun: boolean }
  | { readonly do: SlotVerb; readonly slot: number };

/**
 * `advance`: the next operation of an undisturbed upload, for one of the unfinished assets. `notify`: a storage event, true
 * or false. `die`: the queue found that workers died on the job three times. `vanish`: storage loses the incoming object.
 * `dismiss`: an operator discards the dead letter.
 */
type SlotVerb =
  | 'advance'
  | 'notify'
  | 'die'
  | 'renew'
  | 'complete'
  | 'cancel'
  | 'delete'
  | 'restore'
  | 'purge'
  | 'vanish'
  | 'revive'
  | 'dismiss';

export const ANY_SLOT = 40;

export interface Act {
  /** Seconds by which the clock advances before the step. */
  readonly seconds: number;
  /** One operation, or two at once. */
  readonly operations: readonly Operation[];
  /** Bits that choose which of two operations runs its next effect. Null: they run freely. */
  readonly turns: number | null;
  /** Fault in the first operation. */
  readonly fault: Fault | null;
}

/** Continues a paused operation, or crashes it before or after its next effect. */
export interface Resume {
  readonly resume: number;
  readonly end: 'crash-before' | 'crash-after' | null;
}

export type Step = Act | Resume;

const MINUTE = 60;
const DAY = 24 * 60 * MINUTE;
const slot = fc.oneof(
  { weight: 5, arbitrary: fc.nat({ max: 3 }) },
  { weight: 3, arbitrary: fc.nat({ max: 11 }) },
  { weight: 1, arbitrary: fc.integer({ min: ANY_SLOT, max: ANY_SLOT + 15 }) },
);

const item: fc.Arbitrary<Item> = fc.record({
  content: fc.nat({ max: COMMON - 1 }),
  method: fc.constantFrom('PUT', 'PUT', 'PUT', 'RESUMABLE'),
  key: fc.option(fc.nat({ max: 3 }), { freq: 1, nil: null }),
});

const verb = (name: SlotVerb, weight: number) => ({
  weight,
  arbitrary: fc.record({ do: fc.constant(name), slot }),
});

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      do: fc.constant('request' as const),
      owner: fc.nat({ max: OWNERS - 1 }),
      items: fc.oneof(
        { weight: 4, arbitrary: fc.array(item, { minLength: 1, maxLength: 1 }) },
        { weight: 1, arbitrary: fc.array(item, { minLength: 2, maxLength: 4 }) },
      ),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('put' as const),
      slot,
      body: fc.constantFrom('right', 'right', 'wrong'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      slot,
      stale: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('task' as const),
      name: fc.constantFrom(...TASKS),
      isDryRun: fc.constantFrom(false, false, false, true),
    }),
  },
  verb('advance', 40),
  verb('notify', 4),
  verb('die', 6),
  verb('renew', 3),
  verb('complete', 3),
  verb('cancel', 3),
  verb('delete', 6),
  verb('restore', 6),
  verb('purge', 5),
  verb('vanish', 5),
  verb('revive', 4),
  verb('dismiss', 1),
);

/** Two operations, which often address one upload. */
const pair = fc
  .tuple(operation, operation, fc.boolean())
  .map(([one, two, same]): Operation[] =>
    same && 'slot' in one && 'slot' in two ? [one, { ...two, slot: one.slot }] : [one, two],
  );

const seconds = fc.oneof(
  { weight: 180, arbitrary: fc.constant(1) },
  { weight: 18, arbitrary: fc.constant(2 * MINUTE) },
  { weight: 6, arbitrary: fc.constant(11 * MINUTE) },
  { weight: 6, arbitrary: fc.constant(80 * MINUTE) },
  { weight: 1, arbitrary: fc.constant(9 * DAY) },
  { weight: 1, arbitrary: fc.constant(31 * DAY) },
);

const fault: fc.Arbitrary<Fault> = fc.record({
  kind: fc.constantFrom('down', 'lost', 'bug', 'crash-before', 'crash-after', 'pause', 'pause', 'pause'),
  at: fc.nat({ max: 9 }),
});

const single = fc.record({
  seconds,
  operations: operation.map((one) => [one]),
  turns: fc.constant(null),
  fault: fc.option(fault, { freq: 2, nil: null }),
});

const double = fc.record({
  seconds,
  operations: pair,
  turns: fc.option(fc.nat({ max: 0xffff }), { freq: 3, nil: null }),
  fault: fc.constant(null),
});

const resume: fc.Arbitrary<Resume> = fc.record({
  resume: fc.nat({ max: 3 }),
  end: fc.constantFrom(null, null, 'crash-before', 'crash-after'),
});

const any: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: single },
  { weight: 4, arbitrary: double },
  { weight: 2, arbitrary: resume },
);

const act = (operation: Operation, fault: Fault | null = null, wait = 1): Act => ({
  seconds: wait,
  operations: [operation],
  turns: null,
  fault,
});
const advance = act({ do: 'advance', slot: 0 });
const ask = (owner: number, content: number) =>
  act({ do: 'request', owner, items: [{ content, method: 'PUT', key: null }] });
const owner = fc.nat({ max: OWNERS - 1 });

/** An undisturbed upload: requested, sent, announced, processed. */
const upload: fc.Arbitrary<Step[]> = fc
  .record({ owner, content: fc.nat({ max: COMMON - 1 }) })
  .map((by) => [ask(by.owner, by.content), advance, advance, advance]);

/** Purges an asset, so that the quota allows another one. */
const freeQuota: fc.Arbitrary<Step> = fc
  .integer({ min: 4, max: 11 })
  .map((back) => act({ do: 'purge', slot: back }));
const work: Operation = { do: 'work', slot: 0, stale: false };
const ownContent = fc.integer({ min: COMMON, max: CONTENTS.length - 1 });

/** A worker is paused with half of its work stored, while another stores equal bytes or the collector runs. It may die. */
const pausedWorker: fc.Arbitrary<Step[]> = fc
  .record({
    owner,
    content: ownContent,
    freed: freeQuota,
    at: fc.integer({ min: 3, max: 7 }),
    duplicateBy: fc.option(owner),
    between: fc.array(any, { maxLength: 3 }),
    wait: fc.constantFrom(1, 80 * MINUTE, 80 * MINUTE),
    task: fc.constantFrom(
      'remove-unreferenced',
      'remove-unreferenced',
      'collect-orphans',
      'verify-integrity',
    ),
    collector: fc.record({
      kind: fc.constantFrom('crash-before', 'crash-after', 'pause', 'pause', 'pause'),
      at: fc.nat({ max: 3 }),
    }),
    last: resume,
  })
  .map(({ content, freed, at, duplicateBy, between, wait, task, collector, last, ...by }) => [
    freed,
    ask(by.owner, content),
    advance,
    advance,
    act(work, { kind: 'pause', at }),
    ...(duplicateBy === null ? between : [ask(duplicateBy, content), advance, advance, advance]),
    act({ do: 'task', name: task, isDryRun: false }, collector, wait),
    last,
  ]);

/** A worker dies before it cleans up, and its asset is purged before anything else cleans up. */
const leftover: fc.Arbitrary<Step[]> = fc
  .record({ owner, content: ownContent, freed: freeQuota, at: fc.integer({ min: 6, max: 9 }) })
  .map(({ content, freed, at, ...by }) => [
    freed,
    ask(by.owner, content),
    advance,
    advance,
    act(work, { kind: 'crash-before', at }),
    act({ do: 'purge', slot: 0 }),
  ]);

/** A number of steps: most are random, some are sequences that chance alone seldom produces. */
export const stepsOf = (length: number): fc.Arbitrary<Step[]> =>
  fc
    .array(
      fc.oneof(
        { weight: 40, arbitrary: any.map((step) => [step]) },
        { weight: 1, arbitrary: upload },
        { weight: 2, arbitrary: pausedWorker },
        { weight: 1, arbitrary: leftover },
      ),
      { minLength: length, maxLength: length, size: 'max' },
    )
    .map((parts) => parts.flat().slice(0, length));
