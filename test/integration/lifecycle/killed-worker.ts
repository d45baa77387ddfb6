/**
 * A worker to be killed in the middle of a run. It covers a tick of a task whose third step never ends. Arguments: dist, URL of the
 * database, URL of Redis or nothing, name of the task, tick.
 */
const [dist, url = '', redisUrl = '', name = '', tick = ''] = process.argv.slice(2);
const load = async <T>(lib: string, file = 'index') =>
  (await import(`${dist}/libs/${lib}/src/${file}.js`)) as T;
await import('reflect-metadata');
const { NestFactory } = await import('@nestjs/core');
const { LoggerModule } = await import('nestjs-pino');
const { ConfigurationModule, configured, MetricsModule, StowageTask } =
  await load<typeof import('#libs/runtime')>('runtime');
const { DatabaseConfig, DatabaseModule } = await load<typeof import('#libs/database')>('database');
const { QueueConfig } = await load<typeof import('#libs/queue')>('queue');
const { DeclaredTasks, TasksConfig } = await load<typeof import('#libs/lifecycle')>('lifecycle');
const { TaskJobsModule } = await load<typeof import('../../../libs/lifecycle/src/jobs/index.js')>(
  'lifecycle',
  'jobs/index',
);
const { TaskSchedule } = await load<typeof import('../../../libs/lifecycle/src/jobs/task-schedule.js')>(
  'lifecycle',
  'jobs/task-schedule',
);

class Albums {
  *run() {
    for (const cursor of ['1', '2', '3']) {
      yield { cursor, examine: () => (cursor === '3' ? new Promise<null>(() => undefined) : null) };
    }
  }
}
const method = Object.getOwnPropertyDescriptor(Albums.prototype, 'run')!;
StowageTask(name, { cron: '0 0 1 1 *' })(Albums.prototype, 'run', method as never);

const worker = {
  module: class Worker {},
  imports: [
    LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
    ConfigurationModule.forRoot({
      database: configured(DatabaseConfig, { url }),
      queue: configured(QueueConfig, { redisUrl: redisUrl || undefined }),
      tasks: configured(TasksConfig, {}),
    }),
    MetricsModule,
    DatabaseModule,
    TaskJobsModule,
  ],
  providers: [Albums],
};
const app = await NestFactory.createApplicationContext(worker, { logger: false });
const task = app.get(DeclaredTasks, { strict: false }).find(name)!;
await app.get(TaskSchedule, { strict: false }).tick(task, new Date(tick));
process.send?.('ticked');
