import { contentKey, quarantineKey } from '#libs/domain';
import { NAMES } from '../../../libs/testing/src/emulators.js';
import { inconsistencies } from '../../support/consistency.js';
import type { Fleet } from '../../support/fleet.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';
import { rows, sha256 } from '../uploads.js';
import { sumOf } from './files.js';
import type { Asked } from './play.js';
import type { Stage } from './stage.js';

interface Outcome {
  readonly status: string;
  readonly reason: string | null;
  readonly attempt: number;
  readonly events: readonly string[];
}

const OUTCOMES = `select a.asset_id as id, a.status, a.status_reason as reason, a.attempt,
    (select array_agg(e.type order by e.id) from domain_events e where e.asset_id = a.asset_id) as events
  from media_assets a where a.asset_id = any($1)`;
const LETTERS = `select format('dead letter of %s: %s', source, error) as problem from dead_letters
  where asset_id = any($1)`;
const JOBS = `select format('job %s is %s', id, state) as problem from bullmq.job`;

const MAX_ATTEMPTS = 5;
/** Event types that occur at most once per asset. */
const ONCE = ['asset.requested', 'asset.received', 'asset.ready', 'asset.rejected', 'asset.deleted'];

function wrongOutcome({ kind, end, ticket }: Asked, outcome: Outcome | undefined): string[] {
  if (outcome === undefined) return ['is gone'];
  const { status, reason, attempt, events } = outcome;
  const problems: string[] = [];
  if (status !== end[0] || reason !== end[1]) problems.push(`is ${status} (${reason}), not ${end.join(' ')}`);
  // Outages use up no attempt, and neither does a single kill.
  if (attempt >= MAX_ATTEMPTS || attempt > 1) problems.push(`took ${attempt} attempts`);
  if (end[0] === 'REJECTED' && events.includes('asset.ready')) problems.push('was READY');
  const expected = ticket === null ? 'asset.adopted' : 'asset.requested';
  if (events[0] !== expected) problems.push(`began with ${events[0]}`);
  for (const type of ONCE) {
    const times = events.filter((event) => event === type).length;
    if (times > 1) problems.push(`${times} times ${type}`);
  }
  return problems.map((problem) => `${kind} ${problem}: ${events.join(' ')}`);
}

/** Problems with outcomes, dead letters, jobs and consistency. Empty once everything is as expected. */
async function problemsOf({ fleet }: Stage, asked: readonly Asked[]): Promise<string[]> {
  const ids = asked.map(({ id }) => id);
  const found = await rows<Outcome & { id: string }>(fleet, OUTCOMES, [ids]);
  const outcomes = new Map(found.map((row) => [row.id, row]));
  const wrong = asked.flatMap((file) =>
    wrongOutcome(file, outcomes.get(file.id)).map((problem) => `${file.id} ${problem}`),
  );
  if (wrong.length > 0) return wrong;
  const others = [
    ...(await rows<{ problem: string }>(fleet, LETTERS, [ids])),
    ...(await rows<{ problem: string }>(fleet, JOBS)),
  ];
  return [
    ...others.map(({ problem }) => problem),
    ...(await inconsistencies(fleet.database.url, fleet.emulators)),
  ];
}

const SERVED = `query ($id: ID!) { asset(id: $id) { status downloadUrl { url } variants { downloadUrl { url } } } }`;

interface Served {
  readonly asset: {
    readonly status: string;
    readonly downloadUrl: { readonly url: string } | null;
    readonly variants: readonly { readonly downloadUrl: { readonly url: string } | null }[];
  } | null;
}

async function download(url: string): Promise<Buffer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`GET answered ${response.status}`);
  return bytes;
}

/** Problems with the downloads of an asset: bytes served that must not be, missing or wrong bytes. */
async function wronglyServed(fleet: Fleet, file: Asked): Promise<string[]> {
  const { id, subject, end, mimeType } = file;
  const { asset } = await fleet.query<Served>(SERVED, { id }, subject);
  if (end[0] !== 'READY') {
    return asset === null || asset.downloadUrl === null ? [] : [`${id} is served`];
  }
  if (asset?.downloadUrl == null) return [`${id} is not served`];
  const sum = sha256(await download(asset.downloadUrl.url));
  if (sum !== sumOf(file)) return [`${id} is served with other bytes`];
  if (mimeType.startsWith('image/') && asset.variants.length === 0) return [`${id} has no variants`];
  for (const { downloadUrl } of asset.variants) {
    if (downloadUrl === null || (await download(downloadUrl.url)).length === 0)
      return [`${id} has an empty variant`];
  }
  return [];
}

/** Checks that infected bytes are in quarantine and not in the content bucket. */
async function notQuarantined({ emulators }: Fleet, file: Asked): Promise<string[]> {
  if (file.end[1] !== 'MALWARE') return [];
  const exists = async (bucket: string, key: string) =>
    (await emulators.client.bucket(bucket).file(key).exists())[0];
  const sum = sumOf(file);
  return [
    ...((await exists(NAMES.quarantineBucket, quarantineKey(sum)))
      ? []
      : [`${file.id} is not in quarantine`]),
    ...((await exists(NAMES.contentBucket, contentKey(sum))) ? [`${file.id} is stored`] : []),
  ];
}

/**
 * Lets time pass until every asset has its expected outcome and the invariants hold, then checks the downloads.
 * Returns the problems.
 */
export async function wrongAnswers(stage: Stage, asked: readonly Asked[]): Promise<string[]> {
  const ids = asked.map(({ id }) => id);
  let problems: string[] = [];
  const areRight = async () => {
    await stage.time.pass(ids);
    problems = await problemsOf(stage, asked);
    return problems.length === 0 ? true : null;
  };
  await until('all outcomes are right', areRight).catch((error: unknown) => {
    if (problems.length === 0) throw error;
  });
  if (problems.length > 0) return problems;
  const checks = asked.map(async (file) => [
    ...(await wronglyServed(stage.fleet, file)),
    ...(await notQuarantined(stage.fleet, file)),
  ]);
  return (await Promise.all(checks)).flat();
}
