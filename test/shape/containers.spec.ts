import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { API_CONFIGURATION as API, readApiConfig } from '../../libs/stowage/src/api/config.js';
import { WORKER_CONFIGURATION as WORKER, readWorkerConfig } from '../../libs/stowage/src/worker/config.js';
import { variablesOf } from '#libs/runtime';
import { MIGRATE_VARIABLES, PROVISION_VARIABLES, readVariables } from '../../scripts/environment.js';
import { LIMIT_MS } from '../../libs/testing/src/until.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

describe('container image', () => {
  const dockerfile = read('Dockerfile').replaceAll(/\\\n/g, ' ');
  /** Sources copied from the repository, not from another stage. */
  const copied = dockerfile
    .split('\n')
    .filter((line) => /^COPY (?!--from)/.test(line))
    .map((line) => line.split(/\s+/).slice(1, -1));
  const lastStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));

  it('copies only files that exist and that .dockerignore lets through', () => {
    const sent = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = copied.flat();
    expect(sources.length).toBeGreaterThan(10);
    expect(sources.filter((source) => !existsSync(path.join(ROOT, source)))).toEqual([]);
    expect(sources.filter((source) => !sent.includes(source.split('/')[0]!))).toEqual([]);
  });

  it('has the files that its commands run in the last stage', () => {
    const targets = [...read('scripts/container.sh').matchAll(/exec node [^"]*?(\S+\.(?:js|ts)) /g)].map(
      ([, target = '']) => target,
    );
    expect(targets).toHaveLength(5);
    for (const target of targets) {
      const source = target.replace(/^dist\/(.*)\.js$/, '$1.ts');
      expect([target, existsSync(path.join(ROOT, source))]).toEqual([target, true]);
      if (target.startsWith('dist/')) continue;
      const imports = [...read(target).matchAll(/from '\.\/(\S+)'/g)].map(([, name]) => `scripts/${name}`);
      for (const file of [target, ...imports]) expect(lastStage).toContain(` ${file} `);
    }
  });

  it('has the list of features and their migrations in the last stage, and no other source of a lib', () => {
    expect(lastStage).toMatch(/^COPY [^-].*\bstowage\.features\.ts .*$/m);
    expect(lastStage).toContain('COPY --from=build /app/libs libs\n');
    const [, command = ''] = /^RUN npm run build && (find libs .*)$/m.exec(dockerfile) ?? [];
    const folder = mkdtempSync(path.join(tmpdir(), 'stowage-image-'));
    try {
      for (const name of [
        'albums/prisma/migrations/20260101000000_init',
        'albums/src/prisma',
        'assets/src',
      ]) {
        mkdirSync(path.join(folder, 'libs', name), { recursive: true });
      }
      expect(spawnSync('sh', ['-c', command], { cwd: folder, encoding: 'utf8' })).toMatchObject({
        status: 0,
      });
      expect(readdirSync(folder, { recursive: true }).sort()).toEqual([
        'libs',
        'libs/albums',
        'libs/albums/prisma',
        'libs/albums/prisma/migrations',
        'libs/albums/prisma/migrations/20260101000000_init',
        'libs/assets',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('runs the Node.js version of the tests, and not as root', () => {
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: { node: string } };
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    const [major, minor] = devDependencies.node.split('.');
    expect(new Set(bases)).toEqual(new Set([`node:${major}.${minor}-bookworm-slim`]));
    expect(lastStage).toMatch(/^USER node$/m);
  });
});

const PROFILES = ['emulators', 'clamav', 'third-party'];
const SECRETS: Record<string, string> = {
  POSTGRES_PASSWORD: 'a-password',
  JWT_SECRET: 'a secret of at least 32 characters, truly',
  GCS_HMAC_ACCESS_ID: 'an-access-id',
  GCS_HMAC_SECRET: 'a-secret-of-HMAC',
  UPLOAD_SESSION_KEYS: '0f'.repeat(32),
};

function compose(env: NodeJS.ProcessEnv, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync('docker-compose', [...args, 'config'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  return { status, stdout, stderr };
}

type Service = Record<string, string[]>;
const text = (yaml: string) => yaml.trim().replace(/^(['"])(.*)\1$/, '$2');

/** Returns the lines below each key of each service. Compose prints sorted YAML, indented by two spaces a level. */
function servicesIn(config: string): Record<string, Service> {
  const services: Record<string, Service> = {};
  let service: Service = {};
  let lines: string[] = [];
  const from = config.indexOf('\nservices:');
  for (const line of config.slice(from).split('\n').slice(2)) {
    if (/^\S/.test(line)) break;
    const [, indent = '', name = ''] = /^( +)([\w.-]+):/.exec(line) ?? [];
    if (indent.length === 2) services[name] = service = {};
    else if (indent.length === 4) service[name] = lines = [];
    else lines.push(line.slice(4));
  }
  return services;
}

const environmentOf = (service: Service | undefined): Record<string, string> =>
  Object.fromEntries(
    (service?.environment ?? []).map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).trim(), text(line.slice(colon + 1))];
    }),
  );

const variablesIn = (classes: Readonly<Record<string, new () => object>>) =>
  Object.values(classes).flatMap((type) => [...variablesOf(type).values()]);
const namesOf = ({ required, optional }: { required: readonly string[]; optional: readonly string[] }) => [
  ...required,
  ...optional,
];
/** Names of the settings that the source of the emulators reads. */
const emulatorSettings = [
  ...read('apps/local/src/emulators.ts').matchAll(/setting\('([A-Z_]+)'\)|process\.env\.([A-Z_]+)/g),
].map(([, setting, variable]) => setting ?? variable ?? '');

const hasCompose = (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
  try {
    accessSync(path.join(folder, 'docker-compose'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});
const isSkipped = !hasCompose && process.env.CI !== 'true';
if (isSkipped) process.stdout.write('skipped: docker-compose.yml (apt-get install docker-compose)\n');

/** Real: docker-compose, which needs no Docker to read its file. */
(isSkipped ? describe.skip : describe)('docker-compose.yml', () => {
  let services: Record<string, Service>;
  beforeAll(() => {
    const { status, stdout, stderr } = compose(SECRETS, ...PROFILES.flatMap((name) => ['--profile', name]));
    if (status !== 0) throw new Error(`docker-compose config: ${stderr}`);
    services = servicesIn(stdout);
  });

  it('is valid with each of its profiles', () => {
    for (const profile of PROFILES) {
      expect(compose(SECRETS, '--profile', profile)).toMatchObject({ status: 0, stderr: '' });
    }
  });

  it.each(Object.keys(SECRETS))('has no default for %s', (name) => {
    const { status, stderr } = compose({ ...SECRETS, [name]: '' });
    expect([status, stderr]).toEqual([1, expect.stringContaining(`${name} is not set`)]);
  });

  it.each([
    ['api', variablesIn(API)],
    ['worker', variablesIn(WORKER)],
    ['migrate', namesOf(MIGRATE_VARIABLES)],
    ['provision', namesOf(PROVISION_VARIABLES)],
    ['emulators', emulatorSettings],
  ])('passes the %s only variables that it reads', (name, known) => {
    const given = Object.keys(environmentOf(services[name]));
    expect(given.length).toBeGreaterThan(0);
    expect(given.filter((variable) => !known.includes(variable))).toEqual([]);
  });

  /** Variables that are fixed or useless in containers on one machine: files, tokens, proxies, the mode of the image. */
  const NOT_CONFIGURABLE =
    /_proxy$|^(JWT_JWKS_URL|GOOGLE_APPLICATION_CREDENTIALS|PLAYGROUND_TOKEN|MALWARE_HASHES|HOST|NODE_ENV)$/i;

  it.each([
    ['api', variablesIn(API)],
    ['worker', variablesIn(WORKER)],
  ])('passes settings from .env to the %s', (name, known) => {
    const settings = Object.fromEntries(known.map((variable) => [variable, `said-${variable}`]));
    const { stdout } = compose({ ...settings, ...SECRETS }, '--profile', 'emulators');
    const given = environmentOf(servicesIn(stdout)[name]);
    const fixed = Object.keys(environmentOf(services[name])).filter(
      (variable) => given[variable] !== settings[variable],
    );
    expect(fixed).toContain('DATABASE_URL');
    for (const variable of ['ALLOWED_TYPES', 'LOG_LEVEL']) expect(fixed).not.toContain(variable);
    expect(known.filter((variable) => !(variable in given) && !NOT_CONFIGURABLE.test(variable))).toEqual([]);
  });

  it('passes every service the variables that it needs', () => {
    const { api, worker, migrate, provision } = services;
    const config = readApiConfig(environmentOf(api));
    expect(config.http).toMatchObject({ port: 3000, host: '0.0.0.0' });
    expect(config.queue.redisUrl).toBe('redis://redis:6379');
    expect(config.http.allowedHosts).toEqual(['127.0.0.1:3000', 'localhost:3000', '127.0.0.1:3000']);
    expect(config.gcsSigning.publicEndpoint).toBe('http://127.0.0.1:3001');
    const workerConfig = readWorkerConfig(environmentOf(worker));
    const { url } = workerConfig.database;
    expect(url).toBe(config.database.url);
    expect(readVariables(MIGRATE_VARIABLES, environmentOf(migrate))).toEqual({ DATABASE_URL: url });
    const names = readVariables(PROVISION_VARIABLES, environmentOf(provision));
    expect(workerConfig).toMatchObject({
      assets: { incomingBucket: names.INCOMING_BUCKET },
      pubSub: {
        subscription: names.PUBSUB_SUBSCRIPTION,
        deadLetterSubscription: names.PUBSUB_DEAD_LETTER_SUBSCRIPTION,
      },
      contentStore: { quarantineBucket: names.QUARANTINE_BUCKET },
    });
  });

  it('lets the emulators and the worker accept every host name by which others reach them', () => {
    const { api, worker, emulators } = services;
    const { GCS_PUBLIC_ENDPOINT = '' } = environmentOf(api);
    const { EMULATOR_ALLOWED_HOSTS, GCS_API_ENDPOINT = '', PUBSUB_EMULATOR_HOST } = environmentOf(emulators);
    const names = [new URL(GCS_API_ENDPOINT).host, PUBSUB_EMULATOR_HOST, new URL(GCS_PUBLIC_ENDPOINT).host];
    expect(EMULATOR_ALLOWED_HOSTS?.split(/[\s,]+/)).toEqual(expect.arrayContaining(names));
    // The health check of the image sends this host name.
    expect(readWorkerConfig(environmentOf(worker)).monitoring.allowedHosts).toContain('127.0.0.1:3000');
  });

  it('connects the worker to an isolated ClamAV that scans files up to the size limit', () => {
    const { worker, clamav } = services;
    const { scanner } = readWorkerConfig(environmentOf(worker));
    expect(scanner).toMatchObject({ address: 'clamav:3310', isRequired: true });
    const networks = (service: Service | undefined) => service?.networks?.map((line) => line.trim()) ?? [];
    expect(networks(clamav)).toHaveLength(1);
    expect(networks(worker)).toEqual(expect.arrayContaining(networks(clamav)));
    expect(clamav?.volumes?.join('\n')).toContain(path.join(ROOT, 'docker/clamd.conf'));
    const settings = new Map(
      [...read('docker/clamd.conf').matchAll(/^(\w+) (.*)$/gm)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
    expect(settings.get('TCPSocket')).toBe('3310');
    for (const limit of ['StreamMaxLength', 'MaxFileSize', 'MaxScanSize']) {
      const [, mebibytes] = /^(\d+)M$/.exec(settings.get(limit) ?? '') ?? [];
      expect(Number(mebibytes) * 2 ** 20).toBeGreaterThanOrEqual(scanner.maxBytes);
    }
  });

  it('runs without a scanner only if that is configured', () => {
    const workerOf = (env: NodeJS.ProcessEnv) =>
      environmentOf(servicesIn(compose({ ...SECRETS, ...env }, '--profile', 'emulators').stdout).worker);
    expect(() => readWorkerConfig(workerOf({ CLAMD_ADDRESS: '' }))).toThrow(/CLAMD_ADDRESS/);
    const { scanner } = readWorkerConfig(workerOf({ CLAMD_ADDRESS: '', SCANNER_REQUIRED: 'false' }));
    expect([scanner.address, scanner.isRequired]).toEqual([undefined, false]);
  });

  it('lets a worker write to its spool folder', () => {
    const { worker } = services;
    const { spoolFolder } = readWorkerConfig(environmentOf(worker)).inspection;
    const volumes = [...(worker?.volumes?.join('\n') ?? '').matchAll(/(?:target: |:)(\/[^:\s]+)/g)];
    expect(volumes.map(([, target]) => target)).toEqual([path.dirname(spoolFolder)]);
  });

  it('publishes only the api and storage, on loopback', () => {
    const published = Object.entries(services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => [name, text(port.replace(/^\s*-/, ''))]),
    );
    expect(published).toEqual([
      ['api', '127.0.0.1:3000:3000/tcp'],
      ['emulators', '127.0.0.1:3001:3001/tcp'],
      ['fake-gcs-server', '127.0.0.1:3001:3001/tcp'],
    ]);
  });

  it('keeps Redis from evicting jobs', () => {
    expect(services.redis?.command?.join(' ')).toMatch(/maxmemory-policy.*noeviction/);
  });
});
