/** Brings all tables of a database up to date, before any app starts: `DATABASE_URL=… npm run migrate`. */
import path from 'node:path';
import { built, run } from './command.ts';
import { MIGRATE_VARIABLES, readVariables } from './environment.ts';

const MIGRATIONS = path.resolve(import.meta.dirname, '../prisma/migrations');

await run('DATABASE_URL=postgresql://… npm run migrate', async () => {
  const { DATABASE_URL: url } = readVariables(MIGRATE_VARIABLES, process.env);
  const [{ migrateDatabase }, { migrateQueue }] = await built(() =>
    Promise.all([import('#libs/database'), import('#libs/jobs')]),
  );
  const applied = await migrateDatabase(url, MIGRATIONS);
  await migrateQueue(url);
  for (const name of applied) console.log(`applied  ${name}`);
  console.log(applied.length === 0 ? 'The tables were up to date.' : 'The tables are up to date.');
});
