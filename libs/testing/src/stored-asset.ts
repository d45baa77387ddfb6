import { randomBytes } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import { propertyColumns } from '#libs/assets';
import type { Database } from '#libs/database';
import type { AssetProperties, AssetStatus, VariantsReason } from '#libs/domain';

interface StoredVariant {
  readonly name: string;
  readonly spec?: string;
  readonly width?: number;
  readonly height?: number;
  readonly mimeType?: string;
  /** Null if the bytes are not written yet. */
  readonly version?: string | null;
  readonly createdAt?: Date;
}

export interface StoredAsset {
  readonly ownerId?: bigint;
  readonly status?: AssetStatus;
  readonly filename?: string;
  readonly createdAt?: Date;
  /** Null for an asset without properties. */
  readonly properties?: Partial<AssetProperties> | null;
  readonly variants?: readonly StoredVariant[];
  readonly variantsReason?: VariantsReason;
  /** Principals with permission to read the asset. */
  readonly readers?: readonly string[];
}

const sizeOf = { sizeBytes: 1_000n, crc32c: 'AAAAAA==' };

/**
 * Creates the rows of a processed picture without its bytes, by default for owner 42, and counts its size in the owner's quota.
 * @returns the asset id
 */
export async function storeAsset({ prisma }: Database, more: StoredAsset = {}): Promise<string> {
  const { ownerId = 42n, status = 'READY', createdAt = new Date() } = more;
  const sha256 = randomBytes(32).toString('hex');
  const [bucket, key] = ['content', `content/${sha256}`];
  const object = await prisma.storedObject.create({
    data: {
      ...sizeOf,
      sha256,
      state: 'LIVE',
      refCount: 1,
      variantsReason: more.variantsReason,
      createdAt,
      copies: { create: { location: 'primary', bucket, key, version: '1' } },
      variants: {
        create: (more.variants ?? []).map(({ width = 320, height = 240, spec, name, ...variant }) => ({
          mimeType: 'image/webp',
          version: '1',
          createdAt,
          ...variant,
          name,
          spec: spec ?? name,
          width,
          height,
          sizeBytes: 500,
          bucket,
          key: `variant/${sha256}/${spec ?? name}`,
        })),
      },
    },
  });
  const { assetId } = await prisma.mediaAsset.create({
    data: {
      ...sizeOf,
      assetId: uuidv7(),
      ownerId,
      bucket,
      objectKey: key,
      filename: more.filename ?? 'picture.jpg',
      mimeType: 'image/jpeg',
      declaredType: 'image/jpeg',
      checksumSha256: sha256,
      status,
      storedObjectId: object.id,
      uploadMethod: 'PUT',
      requestId: 'test',
      urlExpiresAt: createdAt,
      uploadDeadlineAt: createdAt,
      nextCheckAt: createdAt,
      createdAt,
      updatedAt: createdAt,
      scannedBy: 'ClamAV 1.4/27000',
      acl: { create: (more.readers ?? []).map((principal) => ({ principal, permission: 'READ' })) },
      properties:
        more.properties === null
          ? undefined
          : { create: { ownerId, createdAt, ...propertyColumns(more.properties ?? {}) } },
    },
  });
  const { sizeBytes: usedBytes } = sizeOf;
  await prisma.ownerQuota.upsert({
    where: { ownerId },
    create: { ownerId, usedBytes, usedAssets: 1 },
    update: { usedBytes: { increment: usedBytes }, usedAssets: { increment: 1 } },
  });
  return assetId;
}
