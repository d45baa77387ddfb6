import fc from 'fast-check';
import { NAMES } from '../../integration/storage/emulators.js';

/** What is sent, and so what it must come to. */
export type FileKind =
  | 'text'
  /** The bytes of an earlier file of the schedule. */
  | 'twin'
  | 'picture'
  | 'infected'
  | 'wrong-hash'
  | 'wrong-type'
  /** Nothing comes. */
  | 'unsent'
  /** At its place in the content bucket lies something else, which no row knows. */
  | 'planted'
  /** Its owner deletes it once it is sent. */
  | 'deleted';

export interface PlannedFile {
  readonly kind: FileKind;
  readonly owner: number;
  /** Of a twin: which of those before it. */
  readonly of: number;
  readonly event: 'on-time' | 'lose' | 'double' | 'delay' | 'reorder';
  /** Its ticket is used once more, for other bytes, when a worker died over the first ones. */
  readonly isSentAgain: boolean;
}

/** Something that a worker does and that others can see. */
export type SideEffect =
  | { readonly method: 'GET' | 'POST' | 'DELETE'; readonly bucket: string }
  /** Texts that it sends to PostgreSQL one after another. */
  | { readonly statements: readonly string[] };

const prisma = (verb: 'INSERT INTO' | 'UPDATE', table: string) => `${verb} "public"."${table}"`;
const accepting = prisma('UPDATE', 'media_assets');

export const SIDE_EFFECTS: readonly SideEffect[] = [
  { method: 'GET', bucket: NAMES.incomingBucket },
  // A copy is asked for at its source: to the content bucket, or into quarantine.
  { method: 'POST', bucket: NAMES.incomingBucket },
  { method: 'DELETE', bucket: NAMES.incomingBucket },
  { method: 'POST', bucket: NAMES.contentBucket },
  { statements: ['assets_claim'] },
  { statements: ['add_job('] },
  { statements: ['FROM move_to_active'] },
  { statements: ['assets_load'] },
  { statements: ['objects_stage'] },
  { statements: ['objects_record_copy'] },
  { statements: ['variants_stage'] },
  { statements: ['variants_record'] },
  { statements: [accepting] },
  { statements: [prisma('INSERT INTO', 'domain_events')] },
  { statements: [prisma('UPDATE', 'stored_objects')] },
  { statements: [prisma('UPDATE', 'owner_quotas')] },
  { statements: [accepting, 'COMMIT'] },
  { statements: ['assets_incoming_settled'] },
  { statements: ['move_to_completed'] },
];

export interface Kill {
  readonly effect: SideEffect;
  /** So many effects of the kind pass before. */
  readonly passing: number;
  /** Whether it dies before what it asked for is done, or after that and before it learns of it. */
  readonly side: 'before' | 'after';
  /** What it had asked for reaches storage before its successor starts, or after. */
  readonly lateCalls: 'before' | 'after';
  /** In between, so much time passes that pins run out, and the collector comes. */
  readonly isCollected: boolean;
}

export const OUTAGES = [
  'nothing',
  'storage answers 503',
  'storage is silent',
  'storage loses answers',
  'the scanner is killed',
  'the scanner hangs',
  'the scanner hangs and is killed',
  'PostgreSQL cuts connections',
  'PostgreSQL refuses connections',
] as const;
export type OutageName = (typeof OUTAGES)[number];

/** Everything that one run does; made of its seed alone. */
export interface Schedule {
  readonly seed: number;
  /** Sent until the worker dies. */
  readonly early: readonly PlannedFile[];
  /** Sent while something is down. */
  readonly late: readonly PlannedFile[];
  readonly kill: Kill;
  readonly outage: OutageName;
  /** Whether the worker also dies while something is down. */
  readonly isKilledInOutage: boolean;
}

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant<FileKind>('twin') },
  { weight: 2, arbitrary: fc.constant<FileKind>('text') },
  {
    weight: 8,
    arbitrary: fc.constantFrom<FileKind>(
      'picture',
      'infected',
      'wrong-hash',
      'wrong-type',
      'unsent',
      'planted',
      'deleted',
    ),
  },
);
const fileOf = (of: fc.Arbitrary<FileKind>): fc.Arbitrary<PlannedFile> =>
  fc.record({
    kind: of,
    owner: fc.nat(3),
    of: fc.nat(11),
    event: fc.constantFrom('on-time', 'on-time', 'on-time', 'lose', 'double', 'delay', 'reorder'),
    isSentAgain: fc.boolean(),
  });
const files = (first: FileKind, second: FileKind, more: number) =>
  fc
    .tuple(
      fileOf(fc.constant(first)).map((file) => ({ ...file, event: 'on-time' as const })),
      fileOf(fc.constant(second)),
      fc.array(fileOf(kind), { minLength: 1, maxLength: more }),
    )
    .map(([one, two, rest]) => [one, two, ...rest]);

const rest = fc.record({
  early: files('picture', 'infected', 5),
  late: files('text', 'twin', 3),
  passing: fc.nat(2),
  side: fc.constantFrom('before' as const, 'after' as const),
  lateCalls: fc.constantFrom('before' as const, 'after' as const),
  isCollected: fc.boolean(),
  isKilledInOutage: fc.nat(3).map((one) => one === 0),
});

/** Seeds that follow one another go through all side effects and all outages. */
export function makeSchedule(seed: number): Schedule {
  const [drawn] = fc.sample(rest, { seed, numRuns: 1 });
  const { early, late, isKilledInOutage, ...kill } = drawn!;
  return {
    seed,
    early,
    late,
    kill: { effect: SIDE_EFFECTS[seed % SIDE_EFFECTS.length]!, ...kill },
    outage: OUTAGES[seed % OUTAGES.length]!,
    isKilledInOutage,
  };
}
