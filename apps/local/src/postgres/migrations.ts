import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import pg from 'pg';

const LIMIT_MS = 120_000;

/**
 * Brings the tables that Prisma knows up to date, by Prisma's own command line. That takes a second, so a database on
 * which every migration was applied is left alone.
 * @throws Error with what Prisma said
 */
export async function migrateDatabase(databaseUrl: string, root: string): Promise<void> {
  const wanted = await migrationsIn(path.join(root, 'prisma/migrations'));
  const applied = await migrationsAppliedTo(databaseUrl);
  if (wanted.every((name) => applied.has(name))) return;
  const cli = createRequire(path.join(root, 'package.json')).resolve('prisma/build/index.js');
  const prisma = spawn(process.execPath, [cli, 'migrate', 'deploy'], {
    cwd: root,
    env: {
      ...process.env,
      DATABASE_URL: databaseUrl,
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
  });
  let output = '';
  for (const stream of [prisma.stdout, prisma.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const [code, signal] = (await once(prisma, 'close')) as [number | null, NodeJS.Signals | null];
  if (code === 0) return;
  const said = output.split('\n').find((line) => /error/i.test(line));
  throw new Error(
    `The database cannot be migrated: ${said ?? `Prisma ended with ${signal ?? `code ${code}`}`}`,
  );
}

async function migrationsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function migrationsAppliedTo(databaseUrl: string): Promise<Set<string>> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    const { rowCount } = await client.query("select where to_regclass('_prisma_migrations') is not null");
    if (rowCount === 0) return new Set();
    const { rows } = await client.query<{ migration_name: string }>(
      'select migration_name from _prisma_migrations where finished_at is not null and rolled_back_at is null',
    );
    return new Set(rows.map((row) => row.migration_name));
  } finally {
    await client.end();
  }
}
