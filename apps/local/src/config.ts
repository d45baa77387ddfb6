import { parseArgs } from 'node:util';
import { loopbackHosts } from '#libs/domain';
import { type Secrets, StartFailure } from './data-folder.js';
import { databaseUrl } from './postgres/server.js';
import { TOKEN_ISSUER } from './token.js';

/** Settings of the embedded stack that the user can choose. */
export interface Config {
  readonly dataFolder: string;
  readonly verbose: boolean;
  readonly ports: Ports;
  /** Address of the user's own Pub/Sub emulator, which replaces the embedded one. */
  readonly pubSubHost: string | undefined;
}

export type Ports = Readonly<Record<keyof typeof PORT_PURPOSE, number>>;

/** Purpose of each port, for messages to the user. */
export const PORT_PURPOSE = {
  api: 'the API',
  gcs: 'the Cloud Storage emulator',
  pubSub: 'the Pub/Sub emulator',
  postgres: 'PostgreSQL',
  worker: 'the worker’s health and metrics',
};

/** Reads the settings from environment and arguments. @throws StartFailure on an invalid variable or argument */
export function readConfig(env: NodeJS.ProcessEnv, argv: readonly string[]): Config {
  const port = Number(env.PORT || 3000);
  if (!Number.isInteger(port) || port < 1 || port > 65_531) {
    throw new StartFailure(`PORT must be a number from 1 to 65531, not ${env.PORT}`);
  }
  return {
    dataFolder: env.DATA_DIR || '.local',
    verbose: verboseIn(argv) || ['debug', 'trace'].includes(env.LOG_LEVEL ?? ''),
    ports: { api: port, gcs: port + 1, pubSub: port + 2, postgres: port + 3, worker: port + 4 },
    pubSubHost: env.PUBSUB_EMULATOR_HOST || undefined,
  };
}

function verboseIn(argv: readonly string[]): boolean {
  try {
    return parseArgs({ args: [...argv], options: { verbose: { type: 'boolean' } } }).values.verbose ?? false;
  } catch (error) {
    throw new StartFailure(`${(error as Error).message}; the only option is --verbose`);
  }
}

const PROJECT = 'stowage-local';
/** Port offset of the page of `npm run example`, see examples/web/serve.ts. */
const EXAMPLE_PORT_OFFSET = 5;
/** Variables that would direct clients of PostgreSQL and Cloud Storage, or token verification, to other servers. */
const CONFLICTING = /^PG[A-Z]+$|_proxy$|^STORAGE_EMULATOR_HOST$|^GCS_PUBLIC_ENDPOINT$|^JWT_JWKS_URL$/i;

/** Environment of the children: the user's variables, overridden by those that connect the parts of the stack. */
export function childEnvironment(
  config: Config,
  secrets: Secrets,
  env: NodeJS.ProcessEnv,
  userToken = '',
): NodeJS.ProcessEnv {
  const { ports, dataFolder, pubSubHost } = config;
  const inherited = Object.entries(env).filter(([name]) => !CONFLICTING.test(name));
  return {
    ...Object.fromEntries(inherited),
    HOST: '127.0.0.1',
    PORT: String(ports.api),
    WORKER_PORT: String(ports.worker),
    DATA_DIR: dataFolder,
    DATABASE_URL: databaseUrl(ports.postgres, secrets.postgresPassword),
    GOOGLE_CLOUD_PROJECT: PROJECT,
    GCS_API_ENDPOINT: `http://127.0.0.1:${ports.gcs}`,
    INCOMING_BUCKET: 'stowage-incoming',
    CONTENT_BUCKET: 'stowage-content',
    QUARANTINE_BUCKET: 'stowage-quarantine',
    GCS_HMAC_ACCESS_ID: secrets.hmacAccessId,
    GCS_HMAC_SECRET: secrets.hmacSecret,
    UPLOAD_SESSION_KEYS: secrets.uploadSessionKey,
    PUBSUB_EMULATOR_HOST: pubSubHost ?? `127.0.0.1:${ports.pubSub}`,
    PUBSUB_PORT: pubSubHost === undefined ? String(ports.pubSub) : '',
    PUBSUB_SUBSCRIPTION: 'stowage-incoming',
    PUBSUB_DEAD_LETTER_SUBSCRIPTION: 'stowage-incoming-dead-letter',
    JWT_SECRET: secrets.jwtSecret,
    JWT_ISSUER: TOKEN_ISSUER,
    JWT_AUDIENCE: TOKEN_ISSUER,
    ALLOWED_HOSTS: loopbackHosts(ports.api).join(','),
    WORKER_ALLOWED_HOSTS: loopbackHosts(ports.worker).join(','),
    EMULATOR_ALLOWED_HOSTS: [ports.gcs, ports.pubSub].flatMap(loopbackHosts).join(','),
    CORS_ORIGINS: [env.CORS_ORIGINS, ...exampleOrigins(ports)].filter(Boolean).join(','),
    PLAYGROUND_TOKEN: userToken,
  };
}

const exampleOrigins = ({ api }: Ports) =>
  ['127.0.0.1', 'localhost'].map((host) => `http://${host}:${api + EXAMPLE_PORT_OFFSET}`);
