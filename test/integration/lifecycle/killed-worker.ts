/** A worker to be killed in the middle of a task. Arguments: dist, URL of the database, name of the task, tick. */
const [dist, url = '', name = '', tick = ''] = process.argv.slice(2);
const load = async <T>(lib: string, file = 'index') =>
  (await import(`${dist}/libs/${lib}/src/${file}.js`)) as T;
await import('reflect-metadata');
const { NestFactory } = await import('@nestjs/core');
const { LoggerModule } = await import('nestjs-pino');
const { configured, ConfigurationModule, MetricsModule } =
  await load<typeof import('#libs/runtime')>('runtime');
const { DatabaseConfig, DatabaseModule } = await load<typeof import('#libs/database')>('database');
const { TasksModule } = await load<typeof import('../../../libs/lifecycle/src/lifecycle.module.js')>(
  'lifecycle',
  'lifecycle.module',
);
const { CronRuns } = await load<typeof import('../../../libs/lifecycle/src/cron-runs.js')>(
  'lifecycle',
  'cron-runs',
);

const worker = {
  module: class Worker {},
  imports: [
    LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
    ConfigurationModule.forRoot({ database: configured(DatabaseConfig, { url }) }),
    MetricsModule,
    DatabaseModule,
    TasksModule,
  ],
};
const app = await NestFactory.createApplicationContext(worker, { logger: false });
const call = () => {
  process.send?.('running');
  return new Promise(() => undefined);
};
await app
  .get(CronRuns, { strict: false })
  .attend({ name, call }, new Date(tick), new AbortController().signal);
