import { isClamdOnPath, TestClamd } from '../../support/clamd.js';
import type { Member } from '../../support/fleet.js';
import { type FaultyFleet, startFaultyFleet } from '../faulty-fleet.js';
import { until } from '../../support/until.js';
import { rows } from '../uploads.js';
import { PassingTime } from './passing-time.js';

/** Where schedules are played, one after another: all of it is up and whole before and after each. */
export class Stage implements AsyncDisposable {
  static async build(): Promise<Stage> {
    await using stack = new AsyncDisposableStack();
    const clamd = isClamdOnPath ? stack.use(await TestClamd.start()) : null;
    const parts = stack.use(
      await startFaultyFleet({
        workers: 0,
        env: {
          INSPECT_PROCESSES: '1',
          JOB_LOCK_SECONDS: '3',
          VARIANT_PROFILES: 'small=webp:40:80,large=webp:400:80',
          ...(clamd !== null && { CLAMD_ADDRESS: clamd.address }),
        },
      }),
    );
    const time = stack.use(await PassingTime.of(parts.fleet));
    const stage = new Stage(parts, clamd, time, stack.move());
    stage.worker = await stage.startWorker();
    return stage;
  }

  readonly fleet = this.parts.fleet;
  readonly proxy = this.parts.proxy;
  readonly door = this.parts.door;
  worker!: Member;

  private constructor(
    private readonly parts: FaultyFleet,
    /** Null where there is none: then a list of signatures knows the EICAR file. */
    readonly clamd: TestClamd | null,
    readonly time: PassingTime,
    private readonly stack: AsyncDisposableStack,
  ) {}

  /**
   * Starts one and waits until it listens to the queue: BullMQ does not survive the loss of a connection while it looks whether the
   * tables are there.
   */
  async startWorker(): Promise<Member> {
    const worker = await this.fleet.addWorker(this.parts.behindProxy);
    await until('the worker listens to the queue', async () => (await this.listens()) || null);
    return worker;
  }

  /** The connection that listens is given a name, before or after. */
  private async listens(): Promise<boolean> {
    const sql = `select 1 from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and query ~* 'listen bullmq_jobs|application_name'`;
    return (await rows(this.fleet, sql)).length > 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stack.disposeAsync();
  }
}
