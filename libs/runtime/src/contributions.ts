import { Injectable, Module } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';

/** A decorator for methods of the given signature, and the key under which it stores its options. */
export interface MethodContribution<Options, Signature> {
  (
    options: Options,
  ): <Method extends Signature>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<Method>,
  ) => void;
  readonly key: symbol;
}

/** A decorator for classes whose instances have the given type, and the key under which it stores its options. */
export interface ClassContribution<Options, Instance> {
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- Only `any` accepts every constructor.
  (options: Options): (target: new (...args: any[]) => Instance) => void;
  readonly key: symbol;
}

/**
 * Creates a decorator for methods that other libs and features contribute, found by {@link Contributions.methods}. The compiler
 * checks the signature of a decorated method.
 * @param name of the decorator
 * @example
 * export const OnTick = methodContribution<{ seconds: number }, (signal: AbortSignal) => Promise<void>>('OnTick');
 *
 * class Albums {
 *   @OnTick({ seconds: 60 })
 *   async removeEmpty(signal: AbortSignal): Promise<void> {}
 * }
 */
export function methodContribution<Options, Signature extends (...args: never[]) => unknown>(
  name: string,
): MethodContribution<Options, Signature> {
  const key = Symbol(name);
  const decorator =
    (options: Options) =>
    (target: object, method: string | symbol, { value }: { value?: unknown }) => {
      if (Reflect.hasOwnMetadata(key, value as object))
        throw new Error(`${target.constructor.name}.${String(method)} has the decorator ${name} twice.`);
      Reflect.defineMetadata(key, options, value as object);
    };
  return Object.assign(decorator, { key });
}

/**
 * Creates a decorator for providers that other libs and features contribute, found by {@link Contributions.classes}. The compiler
 * checks the type of a decorated class.
 * @param name of the decorator
 * @example export const UploadPolicy = classContribution<{ name: string }, UploadPolicyHandler>('UploadPolicy');
 */
export function classContribution<Options, Instance extends object>(
  name: string,
): ClassContribution<Options, Instance> {
  const key = Symbol(name);
  const decorator = (options: Options) => (target: object) => Reflect.defineMetadata(key, options, target);
  return Object.assign(decorator, { key });
}

/** A decorated method of a provider. */
export interface ContributedMethod<Options, Signature> {
  readonly options: Options;
  /** Calls the method on its provider. */
  readonly call: Signature;
  /** Names class and method, for messages of errors. */
  readonly source: string;
}

/** A decorated provider. */
export interface ContributedInstance<Options, Instance> {
  readonly options: Options;
  readonly instance: Instance;
  /** Names the class, for messages of errors. */
  readonly source: string;
}

/**
 * Finds decorated providers and methods of all modules that the process has loaded. Call from `onModuleInit` or later, because
 * providers do not exist before.
 */
@Injectable()
export class Contributions {
  constructor(
    private readonly discovery: DiscoveryService,
    private readonly scanner: MetadataScanner,
  ) {}

  /** The decorated methods, in the order of the modules. */
  methods<Options, Signature extends (...args: never[]) => unknown>({
    key,
  }: MethodContribution<Options, Signature>): ContributedMethod<Options, Signature>[] {
    return this.instances().flatMap((instance) => {
      const prototype = Object.getPrototypeOf(instance) as Record<string, Signature>;
      return this.scanner.getAllMethodNames(prototype).flatMap((name) => {
        const method = prototype[name]!;
        const options = Reflect.getMetadata(key, method) as Options | undefined;
        if (options === undefined) return [];
        const source = `${instance.constructor.name}.${name}`;
        return [{ options, call: method.bind(instance) as unknown as Signature, source }];
      });
    });
  }

  /** The decorated providers, in the order of the modules. */
  classes<Options, Instance extends object>({
    key,
  }: ClassContribution<Options, Instance>): ContributedInstance<Options, Instance>[] {
    return this.instances().flatMap((instance) => {
      const options = Reflect.getOwnMetadata(key, instance.constructor) as Options | undefined;
      return options === undefined
        ? []
        : [{ options, instance: instance as Instance, source: instance.constructor.name }];
    });
  }

  /** A provider that several modules export exists once for each module that declares it. */
  private instances(): object[] {
    const found = this.discovery
      .getProviders()
      .filter(({ isNotMetatype, metatype }) => !isNotMetatype && typeof metatype === 'function')
      .map(({ instance }) => instance as unknown)
      .filter((instance): instance is object => typeof instance === 'object' && instance !== null);
    return [...new Set(found)];
  }
}

/** Provides {@link Contributions}. */
@Module({ imports: [DiscoveryModule], providers: [Contributions], exports: [Contributions] })
export class ContributionsModule {}
