import { type DynamicModule, Global, Module, type Type } from '@nestjs/common';

/** Provides the configuration of all libs. An app imports it once. */
@Global()
@Module({})
export class ConfigurationModule {
  /**
   * @param config instances of configuration classes, each of which is the injection token of its instance
   * @example ConfigurationModule.forRoot(readConfiguration({ albums: AlbumsConfig }, process.env))
   */
  static forRoot(config: Readonly<Record<string, object>>): DynamicModule {
    const providers = Object.values(config).map((useValue) => ({
      provide: useValue.constructor as Type,
      useValue,
    }));
    return { module: ConfigurationModule, providers, exports: providers.map(({ provide }) => provide) };
  }
}
