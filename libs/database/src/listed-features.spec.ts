import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { listedFeatures } from './listed-features.js';

describe('listedFeatures', () => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'stowage-list-'));
  afterAll(() => rmSync(root, { recursive: true }));
  const read = (source: string) => {
    writeFileSync(path.join(root, 'stowage.features.ts'), source);
    return listedFeatures(root);
  };
  const ALBUMS = `import { albums } from '#libs/albums';\n`;
  const PHOTOS = `import { photoAlbums as photos } from "#libs/photo-albums";\n`;

  it.each([
    ['no feature', `export default [];`, []],
    ['one feature', `${ALBUMS}export default [albums];`, ['albums']],
    [
      'a line without a semicolon',
      `import { albums } from '#libs/albums'; export default [albums]`,
      ['albums'],
    ],
    [
      'the order of the list',
      `${PHOTOS}${ALBUMS}export default [photos, albums];`,
      ['photo-albums', 'albums'],
    ],
    [
      'a typed constant over several lines',
      `import type { Feature } from '#libs/stowage';\n${ALBUMS}${PHOTOS}
       const features: readonly Feature[] = [\n  albums,\n  photos,\n];\n\nexport default features;\n`,
      ['albums', 'photo-albums'],
    ],
    ['a checked array', `${ALBUMS}export default [albums] satisfies readonly Feature[];`, ['albums']],
    [
      'comments with imports',
      `// ${PHOTOS}/* ${PHOTOS} */ ${ALBUMS}export default [albums, /* photos, */ // photos\n];`,
      ['albums'],
    ],
  ])('reads %s', (_, source, names) => {
    expect(read(source)).toEqual(names);
  });

  it.each([
    ['an empty file', ''],
    ['a feature that is imported but not listed', `${ALBUMS}export default [];`],
    ['a feature that is listed but not imported', `export default [albums];`],
    ['another order than that of the imports', `${PHOTOS}${ALBUMS}export default [albums, photos];`],
    ['a feature listed twice', `${ALBUMS}export default [albums, albums];`],
    [
      'a folder imported twice',
      `${ALBUMS}import { other } from '#libs/albums'; export default [albums, other];`,
    ],
    [
      'two imports in one statement',
      `import { albums, other } from '#libs/albums'; export default [albums, other];`,
    ],
    ['another entry point', `import { albums } from '#libs/albums/jobs'; export default [albums];`],
    ['a file instead of an entry point', `import { albums } from './albums.js'; export default [albums];`],
    ['a condition', `${ALBUMS}export default process.env.ALBUMS ? [albums] : [];`],
    ['a list that is not exported', `${ALBUMS}const features: readonly Feature[] = [albums];`],
  ])('rejects %s', (_, source) => {
    expect(() => read(source)).toThrow(/^stowage\.features\.ts must import each feature by a statement/);
  });
});
