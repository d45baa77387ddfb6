import { type DynamicModule, Module } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { DatabaseModule } from '#libs/database';
import { ConfigurationModule, HealthModule, loggerParams, MetricsModule } from '#libs/runtime';
import { StorageModule } from '#libs/storage';
import type { ApiConfiguration } from './config.js';
import { ApiGraphQLModule } from './graphql.module.js';
import { storageOf } from './storage.js';

/** Composition of the GraphQL server: configuration, adapters and modules. */
@Module({})
export class AppModule {
  static forRoot(config: ApiConfiguration): DynamicModule {
    const params = loggerParams('api', config.logging.level);
    return {
      module: AppModule,
      imports: [
        ConfigurationModule.forRoot(config),
        LoggerModule.forRoot(params),
        MetricsModule,
        // Clients can request and complete uploads without Pub/Sub.
        HealthModule.forRoot({ optional: ['pubsub'] }),
        DatabaseModule,
        StorageModule.forRoot(storageOf(config, params)),
        ApiGraphQLModule,
      ],
    };
  }
}
