import { getQueueToken } from '@nestjs/bullmq';
import type { Queue } from 'bullmq';
import { INSPECT_QUEUE, PROCESS_QUEUE, TASK_QUEUE } from '#libs/queue';
import { CONTENT, INCOMING, QUARANTINE, type World } from '../../libs/testing/src/world.js';

/** Removes all rows, jobs and objects of a world, but not its registered event consumers and the id of its database, which takes a fraction of the time that a new world takes. */
export async function emptyWorld(world: World): Promise<void> {
  const { rows } = await world.database.pool.query<{ names: string }>(
    `select string_agg(quote_ident(tablename), ', ') as names from pg_tables
     where schemaname = 'public' and tablename not in ('_prisma_migrations', 'event_consumers', 'installation')`,
  );
  await world.database.pool.query(`truncate ${rows[0]!.names}`);
  for (const name of [PROCESS_QUEUE, INSPECT_QUEUE, TASK_QUEUE])
    await world.module.get<Queue>(getQueueToken(name)).obliterate({ force: true });
  for (const bucket of [INCOMING, CONTENT, QUARANTINE])
    await world.emulators.client.bucket(bucket).deleteFiles({ force: true });
}
