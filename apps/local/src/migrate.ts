/** Entry point: migrates the database of the embedded stack and exits. */
import path from 'node:path';
import { migrateDatabase } from '#libs/database';
import { migrateQueue } from '#libs/queue';

const url = process.env.DATABASE_URL ?? '';
// This file is dist/apps/local/src/migrate.js.
await migrateDatabase(url, path.resolve(import.meta.dirname, '../../../..'));
await migrateQueue(url);
// An open IPC channel to the supervisor would keep this process alive.
process.disconnect?.();
