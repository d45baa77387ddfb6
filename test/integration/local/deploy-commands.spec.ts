import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createTestDatabase, type TestDatabase } from '../../../libs/testing/src/test-database.js';
import { freePort } from '../../support/postgres.js';
import { Emulators, NAMES, PROJECT } from '../../../libs/testing/src/emulators.js';

const SCRIPTS = path.resolve(import.meta.dirname, '../../../scripts');

/** Runs a script as a process whose environment has only PATH and `env`. */
async function command(script: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [path.join(SCRIPTS, script), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'close')) as [number | null];
  const [stdout, stderr] = await output;
  return { code, lines: stdout.split('\n').filter(Boolean), stderr };
}

/** Real: the command as a process, both emulators. */
describe('npm run provision', () => {
  let emulators: Emulators;
  beforeAll(async () => {
    emulators = await Emulators.start();
  });
  afterAll(() => emulators[Symbol.asyncDispose]());

  const variables = () => ({
    GOOGLE_CLOUD_PROJECT: PROJECT,
    INCOMING_BUCKET: NAMES.incomingBucket,
    CONTENT_BUCKET: NAMES.contentBucket,
    QUARANTINE_BUCKET: NAMES.quarantineBucket,
    PUBSUB_SUBSCRIPTION: NAMES.subscription,
    GCS_API_ENDPOINT: emulators.gcs.url,
    PUBSUB_EMULATOR_HOST: emulators.pubsubAddress,
  });
  const provision = (...args: string[]) => command('provision.ts', args, variables());
  const bucketNames = async () => (await emulators.client.getBuckets())[0].map(({ name }) => name);

  it('prints the changes, applies them and then finds nothing to change', async () => {
    const dry = await provision('--dry-run');
    expect(dry).toMatchObject({ code: 0, stderr: '' });
    expect(dry.lines).toHaveLength(9);
    expect(dry.lines.slice(0, 8).every((line) => line.startsWith('created '))).toBe(true);
    expect(dry.lines[8]).toContain('No changes were made');
    expect(await bucketNames()).toEqual([]);

    expect((await provision()).lines).toEqual(dry.lines.slice(0, 8));
    expect((await bucketNames()).sort()).toEqual(['content', 'incoming', 'quarantine']);
    const again = await provision();
    expect(again.lines.every((line) => line.startsWith('unchanged '))).toBe(true);
  });

  it('prints the old and the new values of an update', async () => {
    await provision();
    await emulators.client
      .bucket('quarantine')
      .setMetadata({ softDeletePolicy: { retentionDurationSeconds: '604800' } });
    const args = ['--origin', 'https://a.example.com', '--origin', 'https://b.example.com'];
    for (const dry of [['--dry-run'], []]) {
      const { lines } = await provision(...args, ...dry);
      const changes = lines.filter((line) => !/^(unchanged|No changes)/.test(line));
      const origin = `             cors[0].origin: ["*"] → ["https://a.example.com","https://b.example.com"]`;
      expect(changes).toEqual([
        'updated    bucket incoming',
        origin,
        'updated    bucket content',
        origin,
        'updated    bucket quarantine',
        '             softDeletePolicy.retentionDurationSeconds: "604800" → "0"',
      ]);
    }
    const { lines } = await provision(...args);
    expect(lines.every((line) => line.startsWith('unchanged '))).toBe(true);
  });

  it('waits with --wait for servers that start later', async () => {
    const restart = await emulators.stopPubSub();
    expect(await provision()).toMatchObject({ code: 1, lines: [] });
    const waiting = provision('--wait', '60', '--dry-run');
    await restart();
    expect(await waiting).toMatchObject({ code: 0, stderr: '' });
  });

  it.each([
    [['--wait', 'long'], {}, '--wait takes a number of seconds'],
    [['--origin', 'https://app.example.com/'], {}, 'is no origin'],
    [['--everything'], {}, "Unknown option '--everything'"],
    [
      [],
      { INCOMING_BUCKET: '', PUBSUB_SUBSCRIPTION: '' },
      'INCOMING_BUCKET, PUBSUB_SUBSCRIPTION must be set',
    ],
  ])('rejects %j %j', async (args, env, message) => {
    const { code, stderr } = await command('provision.ts', args, { ...variables(), ...env });
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });
});

/** Real: the command as a process, PostgreSQL. */
describe('npm run migrate', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createTestDatabase();
  });
  afterAll(() => database.drop());

  it('creates all tables, including those of the queue, and does nothing the second time', async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('drop schema public cascade; create schema public; drop schema bullmq cascade');
    const migrate = () => command('migrate.ts', [], { DATABASE_URL: database.url });
    const first = await migrate();
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.lines.slice(0, -1).every((line) => /^applied {2}\d{14}_\w+$/.test(line))).toBe(true);
    expect(first.lines.at(-1)).toBe('The tables are up to date.');
    const { rows } = await client.query(
      "select to_regclass('media_assets') is not null and to_regclass('bullmq.job') is not null as there",
    );
    await client.end();
    expect(rows).toEqual([{ there: true }]);
    expect(await migrate()).toEqual({ code: 0, stderr: '', lines: ['The tables were up to date.'] });
  });

  it('reports an error in one line without the password', async () => {
    expect(await command('migrate.ts', [], {})).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^.*DATABASE_URL.*\n$/),
    });
    const url = `postgresql://stowage:very-secret@127.0.0.1:${await freePort()}/x`;
    const { code, stderr } = await command('migrate.ts', [], { DATABASE_URL: url });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^[^\n]*ECONNREFUSED[^\n]*\n$/)]);
    expect(stderr).not.toContain('very-secret');
  });
});
