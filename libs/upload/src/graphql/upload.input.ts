import { Field, InputType, registerEnumType } from '@nestjs/graphql';
import type { Permission } from '#libs/domain';
import { MetadataInput, PermissionEnum } from '#libs/assets/graphql';
import { ByteSize, DateTime, Sha256 } from '#libs/graphql';

export const UploadMethodEnum = { PUT: 'PUT', RESUMABLE: 'RESUMABLE' } as const;
registerEnumType(UploadMethodEnum, {
  name: 'UploadMethod',
  description: 'How the bytes are sent.',
  valuesMap: {
    PUT: { description: 'One PUT of the whole body.' },
    RESUMABLE: { description: 'In chunks; can be resumed after an interruption.' },
  },
});

export const UploadProtocolEnum = {
  PUT: 'PUT',
  GCS_RESUMABLE: 'GCS_RESUMABLE',
  S3_MULTIPART: 'S3_MULTIPART',
} as const;
registerEnumType(UploadProtocolEnum, {
  name: 'UploadProtocol',
  description:
    'How a ticket is used. New values may be added: for an unknown one, tell the user to update the app.',
  valuesMap: {
    PUT: { description: 'One request with the whole body.' },
    GCS_RESUMABLE: {
      description: "The storage's resumable protocol on the session URL: PUTs with Content-Range, in chunks.",
    },
    S3_MULTIPART: { description: 'Signed parts. Not used yet.' },
  },
});

@InputType('AclInput', { description: 'Access that one principal has from the creation of the asset.' })
export class AclInput {
  @Field(() => String, { description: 'user:<id>, group:<name>, or * (everyone; READ only).' })
  principal: string;

  @Field(() => [PermissionEnum], { description: 'Granted permissions.' })
  permissions: Permission[];

  @Field(() => DateTime, { nullable: true, description: 'When the grant ends; never when omitted.' })
  expiresAt?: Date | null;
}

@InputType('RequestUploadInput', { description: 'The file to upload.' })
export class RequestUploadInput {
  @Field(() => String, {
    description:
      '1 to 255 bytes, without path or control characters. Invisible characters that do not shape others are removed.',
  })
  filename: string;

  @Field(() => String, {
    description: 'type/subtype; parameters are ignored. application/octet-stream if the type is unknown.',
  })
  mimeType: string;

  @Field(() => ByteSize, { description: 'Exact size of the file, in bytes.' })
  sizeBytes: number;

  @Field(() => Sha256, { description: 'SHA-256 of the whole file.' })
  checksumSha256: string;

  @Field(() => String, {
    nullable: true,
    description:
      'Base64 CRC32C of the bytes; when given, storage itself rejects a body that differs. A RESUMABLE upload is compared ' +
      'after its last byte.',
  })
  crc32c?: string | null;

  @Field(() => UploadMethodEnum, {
    nullable: true,
    defaultValue: 'PUT',
    description: 'How the bytes will be sent.',
  })
  method?: 'PUT' | 'RESUMABLE' | null;

  @Field(() => [MetadataInput], { nullable: true, description: 'At most 64 entries.' })
  metadata?: MetadataInput[] | null;

  @Field(() => [AclInput], { nullable: true, description: 'Access for others; at most 200 grants.' })
  acl?: AclInput[] | null;

  @Field(() => String, {
    nullable: true,
    description:
      '1 to 128 characters. Repeating a request with its key and input returns the asset of the first request, with a new ' +
      'ticket while it is PENDING and upload null afterwards; CONFLICT with another input.',
  })
  idempotencyKey?: string | null;
}
