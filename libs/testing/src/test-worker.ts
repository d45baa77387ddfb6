import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Feature } from '#libs/stowage';
import { createWorker, readWorkerConfig } from '#libs/stowage/worker';
import { provision } from '#libs/storage/gcs';
import { type Emulators, NAMES, PROJECT } from './emulators.js';
import { runTask, type TestRun } from './run-task.js';
import { appEnvironment } from './environment.js';

/** The whole worker in this process: it receives events, processes assets and runs event handlers and tasks. */
export class TestWorker implements AsyncDisposable {
  /**
   * Starts a worker beside an api.
   * @example
   * await using api = await TestApi.start({}, [albums]);
   * await using worker = await TestWorker.start(api, {}, [albums]);
   */
  static async start(
    { databaseUrl, emulators }: { readonly databaseUrl: string; readonly emulators: Emulators },
    env: NodeJS.ProcessEnv = {},
    features: readonly Feature[] = [],
  ): Promise<TestWorker> {
    await provision({
      projectId: PROJECT,
      storage: { endpoint: emulators.gcs.url },
      pubsub: { emulator: emulators.pubsubAddress },
      names: NAMES,
    });
    const environment = { ...appEnvironment(databaseUrl, emulators), LOG_LEVEL: 'silent', ...env };
    await using resources = new AsyncDisposableStack();
    const app = resources.adopt(
      await createWorker(readWorkerConfig(environment, features), features),
      (app) => app.close(),
    );
    await app.init();
    return new TestWorker(app, resources.move());
  }

  private constructor(
    readonly app: NestFastifyApplication,
    private readonly resources: AsyncDisposableStack,
  ) {}

  /** Runs a task here; see {@link runTask}. @example await worker.runTask('albums.remove-empty', { isDryRun: true }); */
  runTask(name: string, run?: TestRun) {
    return runTask(this.app, name, run);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
  }
}
