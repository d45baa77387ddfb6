import './ts-resolve.mjs';
import { startTestPostgres, type TestPostgres } from './postgres.js';

declare global {
  var testPostgres: TestPostgres | undefined;
}

/** Starts the PostgreSQL server that all suites share. Each suite creates its own databases on it. */
export default async function globalSetup(): Promise<void> {
  const server = await startTestPostgres();
  globalThis.testPostgres = server;
  process.env.TEST_POSTGRES_URL = server.url;
  process.env.TEST_POSTGRES_TEMPLATE = server.template;
}
