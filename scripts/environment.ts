/** Variables of `npm run provision`. */
export const PROVISION_VARIABLES = {
  required: [
    'GOOGLE_CLOUD_PROJECT',
    'INCOMING_BUCKET',
    'CONTENT_BUCKET',
    'QUARANTINE_BUCKET',
    'PUBSUB_SUBSCRIPTION',
  ],
  optional: [
    'GCS_API_ENDPOINT',
    'PUBSUB_EMULATOR_HOST',
    'PUBSUB_DEAD_LETTER_SUBSCRIPTION',
    'QUARANTINE_DAYS',
  ],
} as const;

/** Variables of `npm run migrate`. */
export const MIGRATE_VARIABLES = { required: ['DATABASE_URL'], optional: [] } as const;

interface Names<Required extends string, Optional extends string> {
  readonly required: readonly Required[];
  readonly optional: readonly Optional[];
}

/**
 * Reads the variables with these names. An empty variable counts as unset, as in the apps.
 * @throws Error that names all missing variables
 */
export function readVariables<Required extends string, Optional extends string>(
  { required, optional }: Names<Required, Optional>,
  env: NodeJS.ProcessEnv,
): Record<Required, string> & Partial<Record<Optional, string>> {
  const missing = required.filter((name) => !env[name]);
  if (missing.length > 0) throw new Error(`Configuration: ${missing.join(', ')} must be set.`);
  const entries = [...required, ...optional].flatMap((name) =>
    env[name] ? [[name, env[name]] as const] : [],
  );
  return Object.fromEntries(entries) as Record<Required, string> & Partial<Record<Optional, string>>;
}
