import { Injectable, Module } from '@nestjs/common';
import type { Database } from '#libs/database';
import { StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { defineFeature } from '#libs/stowage';

/** A time that no test reaches. */
const NEVER = '0 0 29 2 *';

/** The details of some boxes; the second one would clear a terminal and reverse its text. */
const DETAILS = new Map([
  [1, 'the first'],
  [2, 'a\u001b[2J\u202eb'],
]);

/** Tasks over boxes in memory, which run only when an operator asks for them. */
@Injectable()
export class BoxTasks {
  readonly boxes = new Set<number>();
  /** The next run of `boxes.check` waits for it. */
  gate: Promise<unknown> = Promise.resolve();

  @StowageTask('boxes.remove', { cron: NEVER }, { needsConfirmation: true })
  *remove(): Generator<TaskStep> {
    for (const box of [...this.boxes]) {
      const perform = () => Promise.resolve(this.boxes.delete(box));
      const detail = DETAILS.get(box);
      yield { examine: () => ({ action: 'remove', subject: `box ${box}`, detail, perform }) };
    }
  }

  @StowageTask('boxes.check', { cron: NEVER })
  async *check({ isDryRun }: TaskContext): AsyncGenerator<TaskStep> {
    if (!isDryRun) await this.gate;
    yield { examine: () => null };
  }

  @StowageTask('boxes.fail', { cron: NEVER })
  *fail(): Generator<TaskStep> {
    yield { examine: () => Promise.reject(new Error('a step')) };
    throw new Error('a secret of the task');
  }
}

@Module({ providers: [BoxTasks] })
class BoxesModule {}

/** A feature with tasks of its own. */
export const boxes = defineFeature({
  name: 'boxes',
  compatibility: '*',
  worker: () => Promise.resolve(BoxesModule),
});

/** Keeps the schedules of tasks from starting runs, so that only the test does. Call it before a worker starts. */
export async function holdSchedules({ prisma }: Database, names: readonly string[]): Promise<void> {
  const coveredUntil = new Date('9999-01-01T00:00:00Z');
  await prisma.scheduledTask.createMany({
    data: names.map((name) => ({ name, schedule: '', coveredUntil })),
  });
}
