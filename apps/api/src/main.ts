import 'reflect-metadata';
import path from 'node:path';
import { migrationNames } from '#libs/database';
import { serve, type Service } from '#libs/runtime';
import { createApi, readApiConfig } from '#libs/stowage/api';
import features from '../../../stowage.features.js';

const ROOT = path.resolve(import.meta.dirname, '../../../..');
const DRAIN_MS = 9_000;
/** Time after the start of a shutdown at which open connections are closed. */
const FORCE_CLOSE_MS = 5_000;

async function start(): Promise<Service> {
  const config = readApiConfig(process.env, features);
  config.database.migrations = await migrationNames(ROOT);
  const app = await createApi(config, features);
  await app.listen(config.http.port, config.http.host);
  return {
    close: async () => {
      const timer = setTimeout(() => app.getHttpServer().closeAllConnections(), FORCE_CLOSE_MS);
      await app.close();
      clearTimeout(timer);
    },
  };
}

await serve(start, DRAIN_MS);
