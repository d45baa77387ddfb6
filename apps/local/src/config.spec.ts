import { describe, expect, it } from '@jest/globals';
import { childEnvironment, readConfig } from './config.js';
import { StartFailure } from './data-folder.js';

const secrets = {
  jwtSecret: 'j',
  hmacAccessId: 'a',
  hmacSecret: 'h',
  postgresPassword: 'p/w',
  uploadSessionKey: 'k',
};
const environment = (env: NodeJS.ProcessEnv) => childEnvironment(readConfig(env, []), secrets, env);

describe('readConfig', () => {
  it('assigns five consecutive ports', () => {
    expect(readConfig({}, []).ports).toEqual({
      api: 3000,
      gcs: 3001,
      pubSub: 3002,
      postgres: 3003,
      worker: 3004,
    });
    expect(readConfig({ PORT: '8000' }, []).ports.postgres).toBe(8003);
  });

  it.each(['0', '65532', 'http', '3000.5', '-1'])('rejects PORT=%s', (PORT) => {
    expect(() => readConfig({ PORT }, [])).toThrow(StartFailure);
  });

  it.each([
    [{}, [], false],
    [{}, ['--verbose'], true],
    [{ LOG_LEVEL: 'debug' }, [], true],
    [{ LOG_LEVEL: 'warn' }, [], false],
  ])('reads %j %j as verbose: %s', (env, argv, verbose) => {
    expect(readConfig(env, argv).verbose).toBe(verbose);
  });

  it('rejects an unknown argument', () => {
    expect(() => readConfig({}, ['--port', '1'])).toThrow(StartFailure);
  });
});

describe('childEnvironment', () => {
  it('passes on the user’s variables', () => {
    expect(environment({ QUOTA_BYTES: '7', REDIS_URL: 'redis://x' })).toMatchObject({
      QUOTA_BYTES: '7',
      REDIS_URL: 'redis://x',
    });
  });

  it('directs every client to this stack', () => {
    const env = environment({
      PORT: '8000',
      DATABASE_URL: 'postgresql://elsewhere',
      PGHOST: 'elsewhere',
      STORAGE_EMULATOR_HOST: 'elsewhere',
      GCS_PUBLIC_ENDPOINT: 'https://elsewhere',
      JWT_JWKS_URL: 'https://elsewhere',
      HTTPS_PROXY: 'elsewhere',
      http_proxy: 'elsewhere:3128',
    });
    expect(env).toMatchObject({
      PORT: '8000',
      HOST: '127.0.0.1',
      DATABASE_URL: 'postgresql://stowage:p%2Fw@127.0.0.1:8003/stowage',
      GCS_API_ENDPOINT: 'http://127.0.0.1:8001',
      PUBSUB_EMULATOR_HOST: '127.0.0.1:8002',
      ALLOWED_HOSTS: '127.0.0.1:8000,localhost:8000,[::1]:8000',
      WORKER_ALLOWED_HOSTS: '127.0.0.1:8004,localhost:8004,[::1]:8004',
      EMULATOR_ALLOWED_HOSTS: [8001, 8002]
        .map((port) => `127.0.0.1:${port},localhost:${port},[::1]:${port}`)
        .join(','),
    });
    expect(Object.values(env)).not.toContainEqual(expect.stringContaining('elsewhere'));
  });

  it('uses the user’s own Pub/Sub emulator', () => {
    expect(environment({ PUBSUB_EMULATOR_HOST: 'localhost:8085' })).toMatchObject({
      PUBSUB_EMULATOR_HOST: 'localhost:8085',
      PUBSUB_PORT: '',
    });
  });

  it('allows the origins of the example page and of the user’s CORS_ORIGINS', () => {
    const example = 'http://127.0.0.1:8005,http://localhost:8005';
    expect(environment({ PORT: '8000' }).CORS_ORIGINS).toBe(example);
    expect(environment({ PORT: '8000', CORS_ORIGINS: 'http://localhost:5173' }).CORS_ORIGINS).toBe(
      `http://localhost:5173,${example}`,
    );
  });
});
