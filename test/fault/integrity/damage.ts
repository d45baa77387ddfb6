import { specOf } from '#libs/domain';
import type { World } from '../../../libs/testing/src/world.js';
import { inParallel, type FileKind, type LibraryFile } from './library.js';
import type { PlantedObjects } from './orphans.js';

/** A damage as an operator sees it. */
export interface ExpectedFinding {
  readonly subject: string;
  readonly problem: string;
  /** Whether the tasks repair it. */
  readonly repaired: boolean;
}

const expected = (subject: string, problem: string, repaired: boolean): ExpectedFinding => ({
  subject,
  problem,
  repaired,
});

/** Damages one file behind the service's back, and returns the findings that its damage must have. */
type DamageFile = (world: World, file: LibraryFile) => Promise<ExpectedFinding[]>;

const at = ({ key }: LibraryFile) => ({ bucket: 'content', key });
const objectOf = ({ objectId }: LibraryFile) => `object ${objectId}`;
const ownersOf = ({ assets }: LibraryFile) => assets.map(({ ownerId }) => `owner ${ownerId}`);

const execute = async (world: World, sql: string, values: unknown[]) => {
  const { rowCount } = await world.database.pool.query(sql, values);
  if (rowCount !== 1) throw new Error(`${rowCount} rows were damaged by ${sql}`);
};

const drift = (sql: string) => async (world: World, file: LibraryFile) => {
  await execute(world, sql, [file.objectId]);
  return [expected(objectOf(file), 'REF_COUNT_DRIFT', true)];
};

const changeMetadata =
  (patch: Readonly<Record<string, unknown>>) => async (world: World, file: LibraryFile) => {
    await world.emulators.gcs.damage.setMetadata(at(file), patch);
    return [expected(objectOf(file), 'CORRUPT', true)];
  };

/** Each column of a quota, by turns. */
const QUOTA_DRIFTS = [
  'used_bytes = used_bytes + 1',
  'used_bytes = greatest(used_bytes - 1, 0)',
  'used_assets = used_assets + 1',
  'used_assets = used_assets - 1',
  'reserved_bytes = reserved_bytes + 1000',
  'reserved_assets = reserved_assets + 1',
];

const DAMAGES: Record<Exclude<FileKind, 'intact'>, DamageFile> = {
  'bit flip': async (world, file) => {
    await world.emulators.gcs.damage.flipByte(at(file), file.index % file.bytes.length);
    return [expected(objectOf(file), 'CORRUPT', false)];
  },
  truncated: async (world, file) => {
    await world.emulators.gcs.damage.truncate(at(file), file.index % file.bytes.length);
    return [expected(objectOf(file), 'SIZE_CHANGED', false)];
  },
  lost: async (world, file) => {
    await world.emulators.gcs.damage.drop(at(file));
    return [expected(objectOf(file), 'MISSING', false)];
  },
  'lost copy row': async (world, file) => {
    await execute(world, 'delete from object_copies where stored_object_id = $1', [file.objectId]);
    return [expected(objectOf(file), 'GENERATION_CHANGED', true)];
  },
  'lost variant row': async (world, file) => {
    await execute(world, 'delete from object_variants where stored_object_id = $1', [file.objectId]);
    return [expected(`variant ${file.objectId}/${specOf(world.profiles[0]!)}`, 'MISSING', true)];
  },
  'lost variant': async (world, file) => {
    await world.emulators.gcs.damage.drop(await variantOf(world, file));
    return [expected(`variant ${file.objectId}/${specOf(world.profiles[0]!)}`, 'MISSING', true)];
  },
  'lost asset row': async (world, file) => {
    await execute(world, 'delete from media_assets where asset_id = $1', [file.assets[0]!.id]);
    return [
      expected(objectOf(file), 'REF_COUNT_DRIFT', true),
      expected(ownersOf(file)[0]!, 'QUOTA_DRIFT', true),
    ];
  },
  'count too high': drift('update stored_objects set ref_count = ref_count + 1 where id = $1'),
  'count too low': drift('update stored_objects set ref_count = ref_count - 1 where id = $1'),
  'quota drift': async (world, file) => {
    const change = QUOTA_DRIFTS[file.index % QUOTA_DRIFTS.length]!;
    await execute(world, `update owner_quotas set ${change} where owner_id = $1`, [file.assets[0]!.ownerId]);
    return [expected(ownersOf(file)[0]!, 'QUOTA_DRIFT', true)];
  },
  'wrong type': changeMetadata({ contentType: 'text/html' }),
  'wrong encoding': changeMetadata({ contentEncoding: 'gzip' }),
  'same bytes again': async (world, file) => {
    await world.emulators.gcs.damage.replace(at(file), file.bytes);
    return [expected(objectOf(file), 'GENERATION_CHANGED', true)];
  },
  'other bytes': async (world, file) => {
    await world.emulators.gcs.damage.replace(at(file), Buffer.from(`other bytes ${file.index}`));
    return [expected(objectOf(file), 'GENERATION_CHANGED', false)];
  },
};

async function variantOf(world: World, { objectId }: LibraryFile) {
  const where = { storedObjectId: objectId };
  const { bucket, key } = await world.database.prisma.objectVariant.findFirstOrThrow({ where });
  return { bucket, key };
}

/** Damages all files but the intact ones. @returns the findings that the tasks must record */
export async function damageFiles(world: World, files: readonly LibraryFile[]): Promise<ExpectedFinding[]> {
  const found = await inParallel(files, (file) => damageFile(world, file));
  return found.flat();
}

/** Damages a file, unless it is to stay intact. @returns the findings that the tasks must record */
export async function damageFile(world: World, file: LibraryFile): Promise<ExpectedFinding[]> {
  return file.kind === 'intact' ? [] : DAMAGES[file.kind](world, file);
}

/** Stores objects without rows. @returns the findings that the tasks must record */
export async function plantOrphans(world: World, planted: PlantedObjects): Promise<ExpectedFinding[]> {
  const all = [...planted.orphans, ...planted.young, ...planted.foreign, ...planted.contested];
  await inParallel(all, ({ bucket, key, bytes, createdAt }) =>
    world.emulators.gcs.damage.put({ bucket, key }, bytes, { createdAt }),
  );
  const subject = ({ bucket, key }: { bucket: string; key: string }) => `key ${bucket}/${key}`;
  return [
    ...planted.orphans.map((orphan) => expected(subject(orphan), 'ORPHAN', true)),
    // They may belong to somebody, so they stay and are only reported.
    ...planted.foreign.map((foreign) => expected(subject(foreign), 'ORPHAN', false)),
  ];
}
