import type { World } from '../../libs/testing/src/world.js';

/**
 * Runs the tasks that finish uploads whose event, job or client was lost.
 * @returns the number of steps, and of those that failed
 */
export async function runUploadTasks(world: Pick<World, 'runTask'>, now = new Date()) {
  const sum = { examined: 0, failed: 0 };
  for (const name of ['expire-uploads', 'reconcile-uploads']) {
    const { examined, failed } = await world.runTask(name, { now });
    sum.examined += examined;
    sum.failed += failed;
  }
  return sum;
}
