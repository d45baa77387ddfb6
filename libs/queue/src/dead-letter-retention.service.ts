import { Injectable } from '@nestjs/common';
import { Database, statement } from '#libs/database';
import { inBatches, removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { QueueConfig } from './queue.config.js';

/** Letters of one state that one statement removes at most. */
export const DEAD_LETTER_BATCH = 500;
const DAY_MS = 24 * 3_600_000;

/** Closed letters that were created before $1, {@link DEAD_LETTER_BATCH} of each state, in the order of the index. */
const DUE = `select l.id from unnest(array['RETRIED', 'DISCARDED']::dead_letter_state[]) as s (state), lateral (
      select id from dead_letters where state = s.state and created_at < $1 order by id limit $2) l`;

const COUNT = statement<{ count: number }>(
  'dead_letters_count_closed',
  `select count(*)::int as count from dead_letters where state in ('RETRIED', 'DISCARDED') and created_at < $1`,
);

const REMOVE = statement<object>(
  'dead_letters_remove_closed',
  `delete from dead_letters where id = any(array(${DUE})) returning id`,
);

/** Removes old dead letters that were retried or discarded. */
@Injectable()
export class DeadLetterRetentionService {
  constructor(
    private readonly config: QueueConfig,
    private readonly database: Database,
  ) {}

  @StowageTask('prune-dead-letters', { cron: '50 2 * * *' })
  *prune(context: TaskContext): Generator<TaskStep> {
    const { now, signal } = context;
    const before = new Date(now.getTime() - this.config.deadLetterDays * DAY_MS);
    const count = async () => (await this.database.query(COUNT, [before]))[0]!.count;
    const remove = async () => (await this.database.query(REMOVE, [before, DEAD_LETTER_BATCH])).length;
    yield removal('dead_letters', context, count, () => inBatches(signal, remove));
  }
}
