import { type DynamicModule, Module } from '@nestjs/common';
import type { ApiConfiguration } from './api/config.js';
import { type Feature, verifyCompatibility } from './feature.js';
import type { WorkerConfiguration } from './worker/config.js';

/**
 * The composition of a process: configuration, adapters, the modules of the service and those of its features. A process loads
 * only the code that it runs; the worker would need 40 MiB more with the GraphQL server.
 */
@Module({})
export class StowageModule {
  /** @throws Error with a message of one sentence if a feature needs another release, or there is no key to sign URLs */
  static async forApi(config: ApiConfiguration, features: readonly Feature[] = []): Promise<DynamicModule> {
    verifyCompatibility(features);
    const { apiModules } = await import('./api/api-modules.js');
    return { module: StowageModule, imports: await apiModules(config, features) };
  }

  /** @throws Error with a message of one sentence if a feature needs another release, or the scanner cannot be used */
  static async forWorker(
    config: WorkerConfiguration,
    features: readonly Feature[] = [],
  ): Promise<DynamicModule> {
    verifyCompatibility(features);
    const { workerModules } = await import('./worker/worker-modules.js');
    return { module: StowageModule, imports: await workerModules(config, features) };
  }
}
