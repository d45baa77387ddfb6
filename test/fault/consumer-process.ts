/** A worker with the consumers `test.log` and `test.all`, which record their events in the table `handled`. Runs from dist. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { LoggerModule } from 'nestjs-pino';
import { DatabaseConfig, DatabaseModule, type Tx } from '#libs/database';
import { BECAME_READY } from '#libs/domain';
import {
  type AssetEvent,
  EventConsumersModule,
  EventsConfig,
  EventsModule,
  OnAssetEvent,
} from '#libs/events';
import { ConfigurationModule, configured, HealthModule, loggerParams, MetricsModule } from '#libs/runtime';

/** Node.js runs this file without a compiler, which decorators would need. */
function recorder(name: string, from: 'now' | 'beginning') {
  class Recorder {
    async handle({ id, assetId }: AssetEvent, tx: Tx): Promise<void> {
      await tx.$executeRawUnsafe(
        'insert into handled (consumer, event_id, asset_id) values ($1, $2, $3::uuid)',
        name,
        id,
        assetId,
      );
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Recorder.prototype, 'handle')!;
  OnAssetEvent(name, BECAME_READY, { from })(Recorder.prototype, 'handle', descriptor);
  return Recorder;
}

class ConsumerProcess {}

const app = await NestFactory.createApplicationContext({
  module: ConsumerProcess,
  imports: [
    ConfigurationModule.forRoot({
      database: configured(DatabaseConfig, { url: process.env.DATABASE_URL! }),
      events: new EventsConfig(),
    }),
    LoggerModule.forRoot(loggerParams('consumers', 'info')),
    MetricsModule,
    HealthModule.forRoot(),
    DatabaseModule,
    EventsModule,
    EventConsumersModule,
  ],
  providers: [recorder('test.log', 'now'), recorder('test.all', 'beginning')],
});
process.once('SIGTERM', () => void app.close().then(() => process.disconnect()));
process.send!({ type: 'ready' });
