import 'reflect-metadata';
import path from 'node:path';
import { migrationNames } from '#libs/database';
import { serve, type Service } from '#libs/runtime';
import { createWorker, readWorkerConfig } from '#libs/stowage/worker';
import features from '../../../stowage.features.js';

const ROOT = path.resolve(import.meta.dirname, '../../../..');
const DRAIN_MS = 9_000;

async function start(): Promise<Service> {
  const config = readWorkerConfig(process.env, features);
  config.database.migrations = await migrationNames(ROOT);
  const app = await createWorker(config, features);
  const { port, host } = config.monitoring;
  if (port === undefined) await app.init();
  else await app.listen(port, host);
  return app;
}

await serve(start, DRAIN_MS);
