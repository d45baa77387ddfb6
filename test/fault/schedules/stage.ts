import { isClamdOnPath, TestClamd } from '../../support/clamd.js';
import type { Member } from '../../support/fleet.js';
import { type FaultyFleet, startFaultyFleet } from '../faulty-fleet.js';
import { PassingTime } from './passing-time.js';

/** Environment for schedules, which are played one after another. All parts are up before and after each schedule. */
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
  readonly faults = this.parts.faults;
  worker!: Member;

  private constructor(
    private readonly parts: FaultyFleet,
    /** Null if clamd is not installed: then a list of signatures knows only the EICAR file. */
    readonly clamd: TestClamd | null,
    readonly time: PassingTime,
    private readonly stack: AsyncDisposableStack,
  ) {}

  startWorker(): Promise<Member> {
    return this.fleet.addWorker(this.parts.behindProxy);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stack.disposeAsync();
  }
}
