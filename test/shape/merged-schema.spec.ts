import { describe, expect, it } from '@jest/globals';
import { mergeSchemas } from '../../scripts/prisma/merged-schema.js';

const CORE = `
/// model Wrong {
model MediaAsset {
  assetId String @id // }
  acl     AssetAcl[]

  @@map("media_assets")
}

model AssetAcl {
  assetId String     @id
  asset   MediaAsset @relation(fields: [assetId], references: [assetId], onDelete: Cascade)
}

enum Permission {
  READ
  @@map("permission")
}
`;
const REFERENCE = 'fields: [assetId], references: [assetId], onDelete: Cascade';
/** A model of the feature albums with these lines, in the table \`album_items\`. */
const items = (lines: string, name = 'AlbumItem', map = '@@map("album_items")') =>
  `model ${name} {\n  assetId String @id\n  ${lines}\n  ${map}\n}\n`;
const merge = (features: Record<string, string>) => mergeSchemas(CORE, new Map(Object.entries(features)));
const linesAdded = (merged: string) => merged.split('\n').filter((line) => !CORE.split('\n').includes(line));

describe('mergeSchemas', () => {
  it('leaves the schema of the core as it is without features, and without relations to the core', () => {
    expect(merge({}).core).toBe(CORE);
    const feature = items('permission Permission\n  album MediaAssetName // MediaAsset');
    expect(merge({ albums: feature })).toEqual({ core: CORE, features: new Map([['albums', feature]]) });
  });

  it('adds the other side of a relation to the model of the core, and names both', () => {
    const { core, features } = merge({ albums: items(`asset MediaAsset @relation(${REFERENCE})`) });
    const [before, after] = CORE.split('  @@map("media_assets")\n');
    const added = '  AlbumItem_asset AlbumItem[] @relation("AlbumItem_asset")\n';
    expect(core).toBe(`${before}  @@map("media_assets")\n${added}${after}`);
    expect(features.get('albums')).toBe(items(`asset MediaAsset @relation("AlbumItem_asset", ${REFERENCE})`));
  });

  it('tells apart several relations between two models, and keeps names that a feature gives', () => {
    const { core, features } = merge({
      albums: items(
        `cover MediaAsset? @relation(${REFERENCE}, map: "album_cover_fkey")
        banner MediaAsset @relation("Banner", ${REFERENCE})
        back MediaAsset @relation(${REFERENCE}, name: "Back")
        acl AssetAcl @relation(${REFERENCE})`,
      ),
    });
    expect(linesAdded(core)).toEqual([
      '  AlbumItem_cover AlbumItem[] @relation("AlbumItem_cover")',
      '  AlbumItem_banner AlbumItem[] @relation("Banner")',
      '  AlbumItem_back AlbumItem[] @relation("Back")',
      '  AlbumItem_acl AlbumItem[] @relation("AlbumItem_acl")',
    ]);
    expect(features.get('albums')).toContain(
      `@relation("AlbumItem_cover", ${REFERENCE}, map: "album_cover_fkey")`,
    );
    expect(features.get('albums')).toContain(`@relation("Banner", ${REFERENCE})`);
  });

  it('ignores comments and strings that look like a schema', () => {
    const feature = items(
      `// cover MediaAsset @relation(fields: [x])
      /* banner MediaAsset
      } */
      text String @default("} // \\" onDelete: Cascade) @relation(") // @@map("other")
      asset MediaAsset @relation(${REFERENCE}) /// asset MediaAsset`,
    );
    expect(linesAdded(merge({ albums: feature }).core)).toEqual([
      '  AlbumItem_asset AlbumItem[] @relation("AlbumItem_asset")',
    ]);
  });

  it('merges several features independently of their order', () => {
    const albums = items(`asset MediaAsset @relation(${REFERENCE})`);
    const places = items(`asset MediaAsset @relation(${REFERENCE})`, 'Place', '@@map("places")');
    expect(linesAdded(merge({ albums, places }).core)).toEqual([
      '  AlbumItem_asset AlbumItem[] @relation("AlbumItem_asset")',
      '  Place_asset Place[] @relation("Place_asset")',
    ]);
    expect(merge({ places, albums }).features.get('albums')).toBe(merge({ albums }).features.get('albums'));
  });

  it.each([
    ['albums', 'Album', 'albums'],
    ['albums', 'Albums', 'album'],
    ['albums', 'AlbumShare', 'album_shares'],
    ['albums', 'Album2', 'albums_2'],
    ['photo-albums', 'PhotoAlbumItem', 'photo_album_items'],
    ['gallery', 'GalleryItem', 'gallery_items'],
  ])('lets %s own the model %s in the table %s', (feature, model, table) => {
    expect(() => merge({ [feature]: items('', model, `@@map("${table}")`) })).not.toThrow();
    expect(() => merge({ [feature]: items('', model, `@@map(name: "${table}")`) })).not.toThrow();
  });

  const reference = (args: string) => ({ albums: items(`asset MediaAsset @relation(${args})`) });
  it.each<[string, Record<string, string>, string]>([
    [
      'a foreign key without an action',
      reference('fields: [assetId], references: [assetId]'),
      'albums: AlbumItem.asset must declare onDelete: Cascade',
    ],
    [
      'a foreign key that prevents a deletion',
      reference('fields: [assetId], references: [assetId], onDelete: Restrict, onUpdate: Cascade'),
      'albums: AlbumItem.asset must declare onDelete: Cascade',
    ],
    [
      'a foreign key that names the action in a string',
      reference('"onDelete: Cascade", fields: [assetId], references: [assetId], onDelete: SetNull'),
      'albums: AlbumItem.asset must declare onDelete: Cascade',
    ],
    [
      'a relation without a foreign key',
      { albums: items('asset MediaAsset?') },
      'AlbumItem.asset must be a foreign key',
    ],
    [
      'an implicit join table',
      { albums: items('assets MediaAsset[]') },
      'AlbumItem.assets must be a foreign key',
    ],
    [
      'a relation to another feature',
      { albums: items('place Place'), places: items('', 'Place', '@@map("places")') },
      'albums: AlbumItem.place refers to a model or enum of another feature, Place.',
    ],
    ['a foreign model name', { albums: items('', 'Place') }, 'the name of model Place must begin with Album'],
    [
      'a model name that continues the word',
      { albums: items('', 'Albumen') },
      'model Albumen must begin with Album',
    ],
    [
      'a model name with an underscore',
      { albums: items('', 'Album_Item') },
      'model Album_Item must begin with Album',
    ],
    ['a foreign table name', { albums: items('', 'AlbumItem', '@@map("asset_items")') }, 'begins with album'],
    [
      'a table name that continues the word',
      { albums: items('', 'Album', '@@map("albumen")') },
      'begins with album',
    ],
    [
      'a model without a table name',
      { albums: items('', 'Album', '') },
      'must be mapped to a name that begins with album',
    ],
    [
      'an enum without a name in the database',
      { albums: 'enum AlbumKind {\n  A\n}' },
      'enum AlbumKind must be mapped',
    ],
    [
      'a model name that the core uses',
      { media: items('', 'MediaAsset', '@@map("media_items")') },
      'media: the name MediaAsset is already used by the core.',
    ],
    [
      'a table name that the core uses',
      { media: items('', 'Media', '@@map("media_assets")') },
      'media: the name media_assets is already used by the core.',
    ],
    [
      'a table name that another feature uses',
      { album: items('', 'Album'), albums: items('', 'AlbumItem') },
      'albums: the name album_items is already used by album.',
    ],
    [
      'a model name that another feature uses',
      { album: items('', 'Album', '@@map("album")'), albums: items('', 'Album') },
      'albums: the name Album is already used by album.',
    ],
    [
      'a generator',
      { albums: 'generator client {\n  provider = "prisma-client"\n}' },
      'albums: the schema of a feature contains only models and enums, not generator client.',
    ],
  ])('rejects %s', (_, features, message) => {
    expect(() => merge(features)).toThrow(message);
  });
});
