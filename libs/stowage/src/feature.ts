import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import type { DynamicModule, Type } from '@nestjs/common';
import semver from 'semver';
import type { ContentCheck, FileReader } from '#libs/inspection';

/**
 * A domain feature of another team: a folder below `libs/` that uses only the public entry points of other libs.
 * `stowage.features.ts` lists the features of an installation. docs/extending.md explains each part.
 *
 * A feature with tables has `libs/NAME/prisma/schema.prisma` and `libs/NAME/prisma/migrations`, which are found by their
 * paths. The database client contains the models of all features in `libs/`; a database gets only the tables of the listed
 * ones.
 */
export interface Feature {
  /** The folder's name, in lower case. Prefixes the feature's tables, consumers, tasks and principals. */
  readonly name: string;
  /** The releases of Stowage that the feature works with, as a semver range, e.g. `^0.2`. */
  readonly compatibility: string;
  /** Classes of configuration that both processes read from the environment. */
  readonly configuration?: readonly (new () => object)[];
  /** Loads the module of the API: resolvers, upload policies and the services that they use. */
  readonly api?: FeatureModule;
  /** Loads the module of the worker: event handlers, tasks and the services that they use. */
  readonly worker?: FeatureModule;
  /** Readers of files, whose properties are in `AssetContents.featureProperties`. */
  readonly readers?: readonly FileReader[];
  /** Checks that files must pass before they become READY. Their reasons begin with the feature's name: `ALBUMS_`. */
  readonly contentChecks?: readonly ContentCheck[];
  /** Variants of every picture in addition to the configured ones, such as `album-cover=webp:600x600:80:cover`. */
  readonly variants?: readonly string[];
}

/** A function, so that a process loads only the code that it runs. */
type FeatureModule = () => Promise<Type | DynamicModule>;

/** The modules of features for one process. */
export function modulesOf(
  features: readonly Feature[],
  process: 'api' | 'worker',
): Promise<(Type | DynamicModule)[]> {
  return Promise.all(features.flatMap((feature) => feature[process]?.() ?? []));
}

/** The release of this program. */
const RELEASE = (
  JSON.parse(readFileSync(findPackageJSON('.', import.meta.url)!, 'utf8')) as { version: string }
).version;

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/**
 * Declares a feature.
 * @throws Error if the name or the range of releases is invalid
 * @example
 * export const albums = defineFeature({
 *   name: 'albums',
 *   compatibility: '^0.2',
 *   api: async () => (await import('./graphql/index.js')).AlbumsGraphQLModule,
 *   worker: async () => (await import('./jobs/index.js')).AlbumsJobsModule,
 * });
 */
export function defineFeature(feature: Feature): Feature {
  const { name, compatibility } = feature;
  if (!NAME.test(name))
    throw new Error(`The feature name ${name} must be in lower case, such as photo-albums.`);
  if (semver.validRange(compatibility) === null) {
    throw new Error(`The feature ${name} has an invalid range of releases: ${compatibility}`);
  }
  return feature;
}

/** @throws Error if a feature does not work with this release, or two have one name */
export function verifyCompatibility(features: readonly Feature[], release = RELEASE): void {
  const names = new Set<string>();
  for (const { name, compatibility } of features) {
    if (names.has(name)) throw new Error(`Two features are named ${name}.`);
    names.add(name);
    if (!semver.satisfies(release, compatibility, { includePrerelease: true })) {
      throw new Error(`The feature ${name} needs Stowage ${compatibility}, but this is ${release}.`);
    }
  }
}

/** The configuration classes of all features, for `readConfiguration`. */
export const configurationOf = (features: readonly Feature[]): Record<string, new () => object> =>
  Object.fromEntries(
    features.flatMap(({ name, configuration = [] }) =>
      configuration.map((each) => [`${name}.${each.name}`, each]),
    ),
  );
