import { describe, expect, it } from '@jest/globals';
import { type ESLint, Linter } from 'eslint';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');
const { ranks } = (await import(path.join(ROOT, 'eslint.ranks.mjs'))) as { ranks: ESLint.Plugin };
/** libs/albums and libs/favourites have no rank. */
const FEATURE = 'libs/albums/src/albums.service.ts';
const TEST = 'libs/albums/src/albums.service.spec.ts';

function problems(file: string, source: string): string[] {
  const linter = new Linter({ cwd: ROOT });
  const config: Linter.Config = {
    files: ['**/*.ts'],
    plugins: { libs: ranks },
    rules: { 'libs/ranks': 'error' },
  };
  return linter.verify(source, config, { filename: path.join(ROOT, file) }).map(({ message }) => message);
}

describe('imports of features', () => {
  it.each([
    [FEATURE, '#libs/stowage'],
    [FEATURE, '#libs/access'],
    [FEATURE, '#libs/upload/graphql'],
    [FEATURE, './albums.repository.js'],
    [FEATURE, '@nestjs/common'],
    [TEST, '#libs/testing'],
    [TEST, '#libs/access'],
    ['libs/albums/test/fixtures.ts', '#libs/testing'],
    ['stowage.features.ts', '#libs/albums'],
    ['apps/api/src/main.ts', '../../../stowage.features.js'],
    ['test/e2e/stack.ts', '../../libs/testing/src/until.js'],
  ])('allow %s to import %s', (file, specifier) => {
    expect(problems(file, `import '${specifier}';`)).toEqual([]);
  });

  it.each([
    [FEATURE, '#libs/testing', 'only tests of the feature albums may import testing'],
    [
      FEATURE,
      '#libs/gcp-emulator',
      'the feature albums may not import gcp-emulator; tests import #libs/testing',
    ],
    [
      TEST,
      '#libs/gcp-emulator',
      'the feature albums may not import gcp-emulator; tests import #libs/testing',
    ],
    [
      FEATURE,
      '#libs/favourites',
      'the feature albums may not import favourites, which is another feature or unknown',
    ],
    [
      TEST,
      '#libs/favourites',
      'the feature albums may not import favourites, which is another feature or unknown',
    ],
    [
      FEATURE,
      '../../access/src/grants.js',
      '../../access/src/grants.js leaves the lib; import its entry point (#libs/…)',
    ],
    [
      FEATURE,
      '../../../stowage.features.js',
      '../../../stowage.features.js leaves the lib; import its entry point (#libs/…)',
    ],
    [FEATURE, '#libs/albums', "#libs/albums is this lib's own entry point; import the file"],
    ['libs/stowage/src/index.ts', '#libs/albums', 'only stowage.features.ts may import the feature albums'],
    [
      'libs/testing/src/world.ts',
      '#libs/albums/jobs',
      'only stowage.features.ts may import the feature albums',
    ],
    ['apps/api/src/main.ts', '#libs/albums', 'only stowage.features.ts may import the feature albums'],
    [
      'apps/api/src/main.ts',
      '../../../libs/albums/src/index.js',
      'only stowage.features.ts may import the feature albums',
    ],
    ['test/e2e/stack.ts', '#libs/albums', 'only stowage.features.ts may import the feature albums'],
    ['libs/access/src/index.ts', '#libs/assets', 'access (rank 3) may not import assets (rank 5)'],
  ])('refuse that %s imports %s', (file, specifier, message) => {
    expect(problems(file, `import '${specifier}';`)).toEqual([message]);
  });

  it.each([
    `export * from '#libs/albums';`,
    `export { albums } from '#libs/albums';`,
    `const albums = import('#libs/albums');`,
  ])('are found in %s', (source) => {
    expect(problems('apps/api/src/main.ts', source)).toHaveLength(1);
  });
});
