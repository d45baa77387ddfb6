/** Brings the database of the embedded stack up to date, and ends. */
import path from 'node:path';
import { migrateQueue } from '#libs/jobs';
import { migrateDatabase } from './postgres/migrations.js';

const url = process.env.DATABASE_URL ?? '';
// This file is dist/apps/local/src/migrate.js.
await migrateDatabase(url, path.resolve(import.meta.dirname, '../../../..'));
await migrateQueue(url);
// The channel to the supervisor would keep this process alive.
process.disconnect?.();
