import type { DynamicModule } from '@nestjs/common';
import { DatabaseModule } from '#libs/database';
import { ConfigurationModule, HealthModule, type HealthOptions, MetricsModule } from '#libs/runtime';
import { type StorageAdapters, StorageModule } from '#libs/storage';
import type { Feature } from './feature.js';
import { extensionsOf } from './feature-content.js';

/**
 * The modules that each process needs besides logging.
 * @throws Error with a message of one sentence if a reader or check of a feature is invalid
 */
export const foundation = (
  config: Readonly<Record<string, object>>,
  storage: StorageAdapters,
  features: readonly Feature[] = [],
  health?: HealthOptions,
): DynamicModule['imports'] & {} => [
  ConfigurationModule.forRoot({ ...config, extensions: extensionsOf(features) }),
  MetricsModule,
  HealthModule.forRoot(health),
  DatabaseModule,
  StorageModule.forRoot(storage),
];
