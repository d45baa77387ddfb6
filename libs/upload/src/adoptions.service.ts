import { Injectable } from '@nestjs/common';
import { type Asset, ASSET_COLUMNS, assetOf, type AssetRow, StoredObjects } from '#libs/assets';
import { Database, isUniqueViolation, type Tx } from '#libs/database';
import { OCTET_STREAM, TRANSITIONS } from '#libs/domain';
import { DomainEvents } from '#libs/events';
import { Quotas } from '#libs/quota';
import type { NewAsset } from './upload.repository.js';

const READ = `select ${ASSET_COLUMNS} from media_assets a where a.asset_id = $1::uuid`;

/**
 * A new asset over bytes that its owner has in another READY asset: READY at once, with what was found in them, one more
 * reference, quota counted. That tells the owner nothing but what is theirs.
 */
@Injectable()
export class Adoptions {
  constructor(
    private readonly database: Database,
    private readonly objects: StoredObjects,
    private readonly quotas: Quotas,
    private readonly events: DomainEvents,
  ) {}

  /** Null when the owner has no such bytes (any more), or no room: they go the way of all others. */
  async adopt(ownerId: bigint, asset: NewAsset): Promise<Asset | null> {
    class Undo extends Error {}
    try {
      return await this.database.transaction(async (tx) => {
        if (!(await this.create(tx, ownerId, asset))) throw new Undo();
        // In the same transaction: as soon as others see it, they may purge it.
        const [row] = await tx.$queryRawUnsafe<AssetRow[]>(READ, asset.id);
        return { ...assetOf(row!), details: { metadata: asset.metadata, acl: asset.acl } };
      });
    } catch (error) {
      // A key that was used meanwhile is found in the next round.
      if (error instanceof Undo || isUniqueViolation(error)) return null;
      throw error;
    }
  }

  private async create(tx: Tx, ownerId: bigint, asset: NewAsset): Promise<boolean> {
    const { id: assetId, mimeType, checksumSha256, now, metadata, acl } = asset;
    const sizeBytes = BigInt(asset.sizeBytes);
    const sameType = mimeType === OCTET_STREAM ? undefined : mimeType;
    const twin = await tx.mediaAsset.findFirst({
      where: { ownerId, checksumSha256, sizeBytes, status: 'READY', mimeType: sameType },
      select: {
        storedObjectId: true,
        bucket: true,
        objectKey: true,
        mimeType: true,
        scannedBy: true,
        properties: { omit: { assetId: true } },
      },
    });
    if (twin?.storedObjectId == null) return false;
    const { properties, ...known } = twin;
    await tx.mediaAsset.create({
      data: {
        ...known,
        assetId,
        ownerId,
        sizeBytes,
        checksumSha256,
        declaredType: mimeType,
        filename: asset.filename,
        crc32c: asset.crc32c,
        status: TRANSITIONS.adopt.to,
        uploadMethod: asset.method,
        idempotencyKey: asset.idempotencyKey,
        idempotencyPrint: asset.fingerprint,
        requestId: asset.requestId,
        urlExpiresAt: now,
        uploadDeadlineAt: now,
        nextCheckAt: now,
        createdAt: now,
        updatedAt: now,
        readyAt: now,
        properties: properties === null ? undefined : { create: { ...properties, createdAt: now } },
        metadata: { create: metadata.map(({ key, value }) => ({ key, value })) },
        acl: {
          create: acl.map(({ principal, permission, expiresAt }) => ({ principal, permission, expiresAt })),
        },
      },
      select: { assetId: true },
    });
    if (!(await this.objects.addReference(tx, twin.storedObjectId))) return false;
    if (!(await this.quotas.use(tx, ownerId, sizeBytes))) return false;
    await this.events.append(tx, { type: TRANSITIONS.adopt.event, assetId, ownerId });
    return true;
  }
}
