/** Creates or updates buckets, topics, subscriptions and the notification, and prints each change. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { ProvisionedResource } from '#libs/storage/gcs';
import { built, run, UsageError } from './command.ts';
import { PROVISION_VARIABLES, readVariables } from './environment.ts';

const HELP = `
Usage: npm run provision [-- --dry-run] [--location europe-west3] [--origin https://app.example.com …] [--wait SECONDS]

Creates or updates buckets, topics, subscriptions and the notification, and prints each change. It reads the same variables
as the apps (docs/operating.md). It can be repeated.

  --dry-run             prints the changes without making them
  --location NAME       location of new buckets
  --origin ORIGIN       an origin whose web pages may use storage; can be repeated
  --wait SECONDS        how long to retry while storage or Pub/Sub does not answer
`;
const PAUSE_MS = 1_000;

await run(HELP, async () => {
  const { values } = parseArgs({
    options: {
      'dry-run': { type: 'boolean', default: false },
      location: { type: 'string' },
      origin: { type: 'string', multiple: true },
      wait: { type: 'string', default: '0' },
    },
  });
  if (!/^\d{1,4}$/.test(values.wait)) throw new UsageError('--wait takes a number of seconds');
  const bad = values.origin?.find((origin) => !isOrigin(origin));
  if (bad !== undefined)
    throw new UsageError(`--origin ${bad} is no origin; an example is https://app.example.com`);
  const env = readVariables(PROVISION_VARIABLES, process.env);
  const quarantineDays = daysOf(env.QUARANTINE_DAYS);
  const { provision } = await built(() => import('#libs/storage/gcs'));
  const resources = await within(Number(values.wait) * 1000, () =>
    provision({
      projectId: env.GOOGLE_CLOUD_PROJECT,
      storage: { endpoint: env.GCS_API_ENDPOINT },
      pubsub: { emulator: env.PUBSUB_EMULATOR_HOST },
      names: {
        incomingBucket: env.INCOMING_BUCKET,
        contentBucket: env.CONTENT_BUCKET,
        quarantineBucket: env.QUARANTINE_BUCKET,
        subscription: env.PUBSUB_SUBSCRIPTION,
        deadLetter: env.PUBSUB_DEAD_LETTER_SUBSCRIPTION,
      },
      location: values.location,
      allowedOrigins: values.origin,
      quarantineDays,
      dryRun: values['dry-run'],
    }),
  );
  for (const resource of resources) console.log(lines(resource));
  if (values['dry-run']) console.log('No changes were made (--dry-run).');
});

function isOrigin(text: string): boolean {
  return text === '*' || (URL.canParse(text) && new URL(text).origin === text);
}

function daysOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new Error('Configuration: QUARANTINE_DAYS must be a whole number from 1 to 9999.');
  return Number(text);
}

/** Retries `attempt` until the time limit is reached, then throws its last error. */
async function within<T>(limitMs: number, attempt: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + limitMs; ; await delay(PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() + PAUSE_MS > end) throw error;
    }
  }
}

function lines({ resource, action, changes }: ProvisionedResource): string {
  const text = (value: unknown) => (value === null ? '(not set)' : JSON.stringify(value));
  return [
    `${action.padEnd(9)}  ${resource}`,
    ...changes.map(({ field, from, to }) => `             ${field}: ${text(from)} → ${text(to)}`),
  ].join('\n');
}
