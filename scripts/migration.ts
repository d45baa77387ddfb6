/** Writes a new migration from the changes of a schema: `npm run migration -- albums add_titles`. */
import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { createTestDatabase } from '../libs/testing/src/test-database.ts';
import { built, run, UsageError } from './command.ts';
import { featuresWithTables, projectSchema } from './prisma/project-schema.ts';
import { localStack } from './stack.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const PRISMA = path.join(ROOT, 'node_modules/prisma/build/index.js');
/** Exit code of `prisma migrate diff --exit-code` if there are differences. */
const DIFFERENT = 2;
/** For the schema that the migrations are compared with. */
const FOLDER = path.join(ROOT, `.local/migration.${process.pid}`);
const TIMEOUT_MS = 5 * 60_000;

const HELP = `
Usage: npm run migration -- [FEATURE] NAME

Compares the schema of a feature (libs/FEATURE/prisma/schema.prisma), or else of the core (prisma/schema.prisma), with its
migrations, and writes the differences as a new migration. Read the file before you commit it: a renamed column, for
example, is dropped and created.

  DATABASE_URL    a PostgreSQL server, on which the command creates and removes a temporary database; by default the
                  server of the embedded stack, which must be running (npm start)
`;

/** The statements that turn the tables of a database into those of a schema; null if there is no difference. */
async function differences(databaseUrl: string, schema: string): Promise<string | null> {
  const args = ['--from-config-datasource', '--to-schema', schema, '--script', '--exit-code'];
  const child = spawn(process.execPath, [PRISMA, 'migrate', 'diff', ...args], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: databaseUrl, CHECKPOINT_DISABLE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  const exit = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const [output, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  if (code !== 0 && code !== DIFFERENT) throw new Error(`${errors}prisma migrate diff failed.`);
  return code === 0 ? null : output;
}

/** URL of a database on the server that DATABASE_URL names, or on that of the embedded stack. */
async function server(env: NodeJS.ProcessEnv): Promise<string> {
  if (env.DATABASE_URL) return env.DATABASE_URL;
  const { port, secrets } = await localStack(env);
  return `postgresql://stowage:${encodeURIComponent(secrets.postgresPassword)}@127.0.0.1:${port + 3}/postgres`;
}

/** The time in UTC as Prisma writes it: 20261130093000. */
const timestamp = () => new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14);

await run(HELP, async () => {
  const { positionals } = parseArgs({ allowPositionals: true });
  const [name = '', feature] = positionals.toReversed();
  if (positionals.length > 2 || !/^[a-z][a-z0-9_]*$/.test(name))
    throw new UsageError('The name of a migration must be in snake_case.');
  if (feature !== undefined && !featuresWithTables(ROOT).includes(feature))
    throw new UsageError(`There is no file libs/${feature}/prisma/schema.prisma.`);
  const { migrateDatabase } = await built(() => import('#libs/database'));
  const database = await createTestDatabase({ url: await server(process.env), template: 'template1' });
  try {
    await migrateDatabase(database.url, ROOT, []);
    const differencesOf = (features: readonly string[]) =>
      differences(database.url, projectSchema(ROOT, features, FOLDER).schema);
    let script = await differencesOf([]);
    if (feature !== undefined) {
      if (script !== null)
        throw new Error(
          'The schema of the core has changes without a migration; write that migration first.',
        );
      await migrateDatabase(database.url, ROOT, [feature]);
      script = await differencesOf([feature]);
    }
    if (script === null) {
      console.log('The migrations agree with the schema.');
      return;
    }
    const base = path.join(feature === undefined ? '' : `libs/${feature}`, 'prisma/migrations');
    const folder = path.join(base, `${timestamp()}_${name}`);
    await mkdir(path.join(ROOT, folder), { recursive: true });
    await writeFile(path.join(ROOT, folder, 'migration.sql'), script, { flag: 'wx' });
    console.log(`written  ${folder}/migration.sql`);
  } finally {
    await database.drop();
    await rm(FOLDER, { recursive: true, force: true });
  }
});
