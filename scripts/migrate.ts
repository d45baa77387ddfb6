/** Creates or updates all tables of a database, before any app starts. */
import path from 'node:path';
import { built, run } from './command.ts';
import { MIGRATE_VARIABLES, readVariables } from './environment.ts';

const ROOT = path.resolve(import.meta.dirname, '..');

const HELP = `
Usage: DATABASE_URL=postgresql://… npm run migrate

Creates or updates all tables of a database, including those of the listed features and of the queue. Run it before you
start a new version of an app. It can be repeated. npm start runs it automatically.
`;

await run(HELP, async () => {
  const { DATABASE_URL: url } = readVariables(MIGRATE_VARIABLES, process.env);
  const [{ migrateDatabase }, { migrateQueue }] = await built(() =>
    Promise.all([import('#libs/database'), import('#libs/queue')]),
  );
  const applied = await migrateDatabase(url, ROOT);
  await migrateQueue(url);
  for (const name of applied) console.log(`applied  ${name}`);
  console.log(applied.length === 0 ? 'The tables were up to date.' : 'The tables are up to date.');
});
