import { Field, ID, ObjectType } from '@nestjs/graphql';
import type { AssetKind, AssetStatus, Permission } from '#libs/domain';
import { kindOfMediaType } from '#libs/domain';
import { ByteSize, DateTime, PageInfo, Sha256, Url } from '#libs/graphql';
import type { Asset } from '../asset.js';
import { AssetKindEnum, AssetStatusEnum, PermissionEnum } from './enums.js';

@ObjectType('StatusReason', {
  description:
    'Why an asset was refused. Codes: CHECKSUM_MISMATCH, SIZE_MISMATCH, TYPE_MISMATCH, TYPE_NOT_ALLOWED, MALWARE, ' +
    'UNSCANNABLE, UNREADABLE, TOO_MANY_PIXELS, TOO_COSTLY (reading it used up its time twice); on a FAILED asset PROCESSING_FAILED.',
})
export class StatusReasonModel {
  @Field(() => String, { description: 'Stable, for programs.' })
  code: string;

  @Field(() => String, { description: 'For people.' })
  message: string;
}

@ObjectType('MetadataEntry', { description: 'One key and value that the owner attached.' })
export class MetadataEntryModel {
  @Field(() => String, { description: '1 to 64 letters, digits, _ . : or -.' })
  key: string;

  @Field(() => String, { description: 'Up to 4096 bytes of text.' })
  value: string;
}

@ObjectType('AclEntry', { description: 'One grant of an access list.' })
export class AclEntryModel {
  @Field(() => String, { description: 'user:<id>, group:<name>, or * (everyone).' })
  principal: string;

  @Field(() => PermissionEnum, { description: 'What is granted.' })
  permission: Permission;

  @Field(() => DateTime, { nullable: true, description: 'When the grant ends; null for never.' })
  expiresAt: Date | null;
}

@ObjectType('SignedUrl', {
  description: 'A URL that works without a token. Treat it as a secret until it expires.',
})
export class SignedUrlModel {
  @Field(() => Url, { description: 'Send a GET to it.' })
  url: string;

  @Field(() => DateTime, { description: 'When it stops working.' })
  expiresAt: Date;
}

@ObjectType('Asset', { description: 'A file: its name, what is known of its bytes, and who may use it.' })
export class AssetModel {
  /** What this was made of, for the field resolvers of other libs. Not a GraphQL field. */
  readonly asset: Asset;

  @Field(() => ID, { description: 'The asset for ever.' })
  id: string;

  @Field(() => ID, { description: 'Whose it is.' })
  ownerId: string;

  @Field(() => String, { description: 'Its name, for people and for downloads.' })
  filename: string;

  @Field(() => String, {
    description:
      'Declared by the client until PROCESSING ends. From READY on: detected from the bytes, or the declared one where it ' +
      'refines what was detected (text/csv for text/plain). application/octet-stream declared accepts whatever is detected.',
  })
  mimeType: string;

  @Field(() => AssetKindEnum, { description: 'The family of mimeType.' })
  kind: AssetKind;

  @Field(() => ByteSize, { description: 'Size of the whole file.' })
  sizeBytes: number;

  @Field(() => Sha256, {
    description: 'Digest of the whole file, as declared; from READY on also as verified.',
  })
  checksumSha256: string;

  @Field(() => AssetStatusEnum, { description: 'Where it is in its life.' })
  status: AssetStatus;

  @Field(() => StatusReasonModel, {
    nullable: true,
    description: 'Why it was refused or failed; null otherwise.',
  })
  statusReason: StatusReasonModel | null;

  @Field(() => DateTime, { description: 'When its upload was asked for.' })
  createdAt: Date;

  @Field(() => DateTime, { description: 'When it last changed.' })
  updatedAt: Date;

  @Field(() => DateTime, { nullable: true, description: 'When it became READY.' })
  readyAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When it was deleted.' })
  deletedAt: Date | null;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'When a download URL was last handed out or the bytes last delivered by this service, to the hour.',
  })
  lastAccessedAt: Date | null;

  constructor(asset: Asset) {
    this.asset = asset;
    this.id = asset.id;
    this.ownerId = String(asset.ownerId);
    this.filename = asset.filename;
    this.mimeType = asset.mimeType;
    this.kind = kindOfMediaType(asset.mimeType);
    this.sizeBytes = asset.sizeBytes;
    this.checksumSha256 = asset.checksumSha256;
    this.status = asset.status;
    this.statusReason = asset.statusReason;
    this.createdAt = asset.createdAt;
    this.updatedAt = asset.updatedAt;
    this.readyAt = asset.readyAt;
    this.deletedAt = asset.deletedAt;
    this.lastAccessedAt = asset.accessedAt;
  }
}

@ObjectType('AssetEdge', { description: 'An asset and its place in a list.' })
export class AssetEdgeModel {
  @Field(() => String, { description: 'Opaque; valid for the same order.' })
  cursor: string;

  @Field(() => AssetModel, { description: 'The asset.' })
  node: AssetModel;
}

@ObjectType('AssetConnection', { description: 'A page of assets.' })
export class AssetConnectionModel {
  @Field(() => [AssetEdgeModel], { description: 'The assets of this page with their cursors.' })
  edges: AssetEdgeModel[];

  @Field(() => [AssetModel], { description: 'The assets of this page.' })
  nodes: AssetModel[];

  @Field(() => PageInfo, { description: 'Where this page lies.' })
  pageInfo: PageInfo;
}
