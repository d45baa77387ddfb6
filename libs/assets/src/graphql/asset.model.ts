import { Field, ID, ObjectType } from '@nestjs/graphql';
import type { AssetKind, AssetStatus, Permission } from '#libs/domain';
import { kindOfMediaType } from '#libs/domain';
import { ByteSize, Connection, DateTime, Sha256, Url } from '#libs/graphql';
import type { Asset } from '../asset.js';
import { AssetKindEnum, AssetStatusEnum, PermissionEnum } from './enums.js';

@ObjectType('StatusReason', {
  description:
    'Why an asset was rejected or failed. Codes of REJECTED assets: CHECKSUM_MISMATCH, SIZE_MISMATCH, TYPE_MISMATCH, ' +
    'TYPE_NOT_ALLOWED, MALWARE, UNSCANNABLE, UNREADABLE, TOO_MANY_PIXELS, TOO_COSTLY (reading the file exceeded its time limit ' +
    'twice), REPLACEMENT_OBSOLETE (the asset to replace changed meanwhile), and the codes of content checks of features. Code of FAILED assets: PROCESSING_FAILED.',
})
export class StatusReasonModel {
  @Field(() => String, { description: 'Stable code for programs.' })
  code: string;

  @Field(() => String, { description: 'Explanation for people.' })
  message: string;
}

@ObjectType('MetadataEntry', { description: 'A key and value that the owner attached.' })
export class MetadataEntryModel {
  @Field(() => String, { description: '1 to 64 letters, digits, _ . : or -.' })
  key: string;

  @Field(() => String, { description: 'Up to 4096 bytes of text.' })
  value: string;
}

@ObjectType('AclEntry', { description: 'An entry of an access list.' })
export class AclEntryModel {
  @Field(() => String, {
    description:
      'user:<id>, group:<name>, or * (everyone). Other principals, such as albums:<id>, belong to features that share the asset.',
  })
  principal: string;

  @Field(() => PermissionEnum, { description: 'Granted permission.' })
  permission: Permission;

  @Field(() => DateTime, { nullable: true, description: 'When the grant ends; null for never.' })
  expiresAt: Date | null;
}

@ObjectType('SignedUrl', {
  description: 'A URL that works without a token. Treat it as a secret until it expires.',
})
export class SignedUrlModel {
  @Field(() => Url, { description: 'Send a GET request to this URL.' })
  url: string;

  @Field(() => DateTime, { description: 'When the URL expires.' })
  expiresAt: Date;
}

@ObjectType('Asset', { description: 'A file: its name, properties of its bytes, and access to it.' })
export class AssetModel {
  /** The source of this model, for field resolvers of other libs. Not a GraphQL field. */
  readonly asset: Asset;

  @Field(() => ID, { description: 'Stable identifier of the asset.' })
  id: string;

  @Field(() => ID, { description: 'Id of the owner.' })
  ownerId: string;

  @Field(() => String, { description: 'File name, for display and for downloads.' })
  filename: string;

  @Field(() => String, {
    description:
      'Declared by the client until PROCESSING ends. From READY on: detected from the bytes, or the declared type where it ' +
      'refines the detected one (text/csv for text/plain). The declared type application/octet-stream accepts any detected type.',
  })
  mimeType: string;

  @Field(() => AssetKindEnum, { description: 'Family of mimeType.' })
  kind: AssetKind;

  @Field(() => ByteSize, { description: 'Size of the whole file, in bytes.' })
  sizeBytes: number;

  @Field(() => Sha256, {
    description: 'SHA-256 of the whole file, declared by the client and verified before READY.',
  })
  checksumSha256: string;

  @Field(() => AssetStatusEnum, { description: 'Current status.' })
  status: AssetStatus;

  @Field(() => StatusReasonModel, {
    nullable: true,
    description: 'Why the asset was rejected or failed; null otherwise.',
  })
  statusReason: StatusReasonModel | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'Id of the asset whose bytes this upload of replaceUpload replaces; null for all other assets. This upload is not listed. ' +
      'It becomes DELETED when the other asset has its bytes, and REJECTED when they are refused.',
  })
  replaces: string | null;

  @Field(() => DateTime, { description: 'When the upload was requested.' })
  createdAt: Date;

  @Field(() => DateTime, { description: 'When the asset last changed.' })
  updatedAt: Date;

  @Field(() => DateTime, { nullable: true, description: 'When the asset became READY.' })
  readyAt: Date | null;

  @Field(() => DateTime, { nullable: true, description: 'When the asset was deleted.' })
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
    this.replaces = asset.replaces;
    this.createdAt = asset.createdAt;
    this.updatedAt = asset.updatedAt;
    this.readyAt = asset.readyAt;
    this.deletedAt = asset.deletedAt;
    this.lastAccessedAt = asset.accessedAt;
  }
}

@ObjectType('AssetConnection', { description: 'A page of assets.' })
export class AssetConnectionModel extends Connection(AssetModel) {}
