import { Field, InputType, registerEnumType } from '@nestjs/graphql';
import type { Permission } from '#libs/domain';
import { PermissionEnum } from '#libs/assets/graphql';
import { ByteSize, DateTime, Sha256 } from '#libs/graphql';

export const UploadMethodEnum = { PUT: 'PUT', RESUMABLE: 'RESUMABLE' } as const;
registerEnumType(UploadMethodEnum, {
  name: 'UploadMethod',
  description: 'How the bytes are sent.',
  valuesMap: {
    PUT: { description: 'One PUT of the whole body.' },
    RESUMABLE: { description: 'In chunks, to be resumed after an interruption.' },
  },
});

export const UploadProtocolEnum = {
  PUT: 'PUT',
  GCS_RESUMABLE: 'GCS_RESUMABLE',
  S3_MULTIPART: 'S3_MULTIPART',
} as const;
registerEnumType(UploadProtocolEnum, {
  name: 'UploadProtocol',
  description: 'How a ticket is used. There may be more some day: tell your user to update the app.',
  valuesMap: {
    PUT: { description: 'One request with the whole body.' },
    GCS_RESUMABLE: {
      description: "The storage's resumable protocol on the session URL: PUTs with Content-Range, in chunks.",
    },
    S3_MULTIPART: { description: 'Signed parts. Not given out yet.' },
  },
});

@InputType('MetadataInput', { description: 'One key and value to attach.' })
export class MetadataInput {
  @Field(() => String, { description: '1 to 64 letters, digits, _ . : or -.' })
  key: string;

  @Field(() => String, { description: 'Up to 4096 bytes of text.' })
  value: string;
}

@InputType('AclInput', { description: 'Access for one principal, from the start.' })
export class AclInput {
  @Field(() => String, { description: 'user:<id>, group:<name>, or * (everyone; READ only).' })
  principal: string;

  @Field(() => [PermissionEnum], { description: 'Granted permissions.' })
  permissions: Permission[];

  @Field(() => DateTime, { nullable: true, description: 'When the grant ends; never when left out.' })
  expiresAt?: Date | null;
}

@InputType('RequestUploadInput', { description: 'What you are going to send.' })
export class RequestUploadInput {
  @Field(() => String, {
    description:
      '1 to 255 bytes, no path, no control characters. Invisible characters that shape no other are removed.',
  })
  filename: string;

  @Field(() => String, {
    description: 'type/subtype; parameters are ignored. application/octet-stream when you do not know.',
  })
  mimeType: string;

  @Field(() => ByteSize, { description: 'Exactly how many bytes you will send.' })
  sizeBytes: number;

  @Field(() => Sha256, { description: 'Digest of the whole file.' })
  checksumSha256: string;

  @Field(() => String, {
    nullable: true,
    description:
      'Base64 CRC32C of the bytes; when given, storage itself refuses a body that differs. A RESUMABLE upload is compared once all of it has come.',
  })
  crc32c?: string | null;

  @Field(() => UploadMethodEnum, {
    nullable: true,
    defaultValue: 'PUT',
    description: 'How you will send it.',
  })
  method?: 'PUT' | 'RESUMABLE' | null;

  @Field(() => [MetadataInput], { nullable: true, description: 'At most 64 entries.' })
  metadata?: MetadataInput[] | null;

  @Field(() => [AclInput], { nullable: true, description: 'Who else may use it; at most 200 grants.' })
  acl?: AclInput[] | null;

  @Field(() => String, {
    nullable: true,
    description:
      '1 to 128 characters. The same key from the same owner with the same input gives the same asset, with a fresh ' +
      'ticket while it is PENDING and upload null after; with another input, CONFLICT.',
  })
  idempotencyKey?: string | null;
}
