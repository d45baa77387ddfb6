import fc from 'fast-check';
import { NAMES } from '../../../libs/testing/src/emulators.js';

/** Kind of a file, which determines its expected outcome. */
export type FileKind =
  | 'text'
  /** Has the bytes of an earlier file of the schedule. */
  | 'duplicate'
  | 'picture'
  | 'infected'
  | 'wrong-hash'
  | 'wrong-type'
  /** Its bytes are never sent. */
  | 'unsent'
  /** The content bucket holds other bytes under its key, which no row knows. */
  | 'planted'
  /** Its owner deletes the asset after sending the bytes. */
  | 'deleted';

export interface PlannedFile {
  readonly kind: FileKind;
  readonly owner: number;
  /** Index of the original of a duplicate. */
  readonly of: number;
  readonly event: 'on-time' | 'lose' | 'double' | 'delay' | 'reorder';
  /** Whether the client reuses the ticket for other bytes after a worker died while processing the first ones. */
  readonly isSentAgain: boolean;
}

/** An effect of a worker that is visible outside its process. */
export type SideEffect =
  | { readonly method: 'GET' | 'POST' | 'DELETE'; readonly bucket: string }
  /** Texts of consecutive messages to PostgreSQL. */
  | { readonly statements: readonly string[] };

const prisma = (verb: 'INSERT INTO' | 'UPDATE', table: string) => `${verb} "public"."${table}"`;
const accepting = prisma('UPDATE', 'media_assets');

const SIDE_EFFECTS: readonly SideEffect[] = [
  { method: 'GET', bucket: NAMES.incomingBucket },
  // A copy is a POST to its source, into the content bucket or into quarantine.
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
  { statements: ['set ref_count = ref_count + 1'] },
  { statements: [prisma('UPDATE', 'owner_quotas')] },
  { statements: [accepting, 'COMMIT'] },
  { statements: ['assets_incoming_settled'] },
  { statements: ['move_to_completed'] },
];

export interface Kill {
  readonly effect: SideEffect;
  /** Number of effects of this kind that pass first. */
  readonly passing: number;
  /** Whether the worker dies before its request is executed, or after that and before it receives the answer. */
  readonly side: 'before' | 'after';
  /** Whether held calls of the dead worker reach storage before or after its successor starts. */
  readonly lateCalls: 'before' | 'after';
  /** Whether pins expire and the collector runs in between. */
  readonly isCollected: boolean;
}

const OUTAGES = [
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

/** One complete run, determined by its seed. */
export interface Schedule {
  readonly seed: number;
  /** Files sent before the worker is killed. */
  readonly early: readonly PlannedFile[];
  /** Files sent during the outage. */
  readonly late: readonly PlannedFile[];
  readonly kill: Kill;
  readonly outage: OutageName;
  /** Whether the worker is also killed during the outage. */
  readonly isKilledInOutage: boolean;
}

const kind = fc.oneof(
  { weight: 4, arbitrary: fc.constant<FileKind>('duplicate') },
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
  late: files('text', 'duplicate', 3),
  passing: fc.nat(2),
  side: fc.constantFrom('before' as const, 'after' as const),
  lateCalls: fc.constantFrom('before' as const, 'after' as const),
  isCollected: fc.boolean(),
  isKilledInOutage: fc.nat(3).map((one) => one === 0),
});

/** Makes the schedule of a seed. Consecutive seeds cover all side effects and all outages. */
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
