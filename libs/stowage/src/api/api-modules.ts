import type { DynamicModule } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { loggerParams } from '#libs/runtime';
import { type Feature, modulesOf } from '../feature.js';
import { foundation } from '../foundation.js';
import type { ApiConfiguration } from './config.js';
import { ApiGraphQLModule } from './graphql.module.js';
import { storageOf } from './storage.js';

/** The modules of the API. @throws Error with a message of one sentence if there is no key to sign URLs */
export async function apiModules(
  config: ApiConfiguration,
  features: readonly Feature[],
): Promise<DynamicModule['imports']> {
  const params = loggerParams('api', config.logging.level);
  return [
    LoggerModule.forRoot(params),
    // Clients can request and complete uploads without Pub/Sub.
    ...foundation(config, storageOf(config, params), features, { optional: ['pubsub'] }),
    ApiGraphQLModule.forFeatures(await modulesOf(features, 'api')),
  ];
}
