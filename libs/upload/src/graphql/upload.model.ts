import { createUnionType, Field, Int, ObjectType } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { ERROR_KINDS, type StowageError } from '#libs/domain';
import { ByteSize, DateTime, Url } from '#libs/graphql';
import type { UploadTicket } from '../upload-signer.js';
import type { RequestedUpload } from '../upload.service.js';
import { UploadMethodEnum, UploadProtocolEnum } from './upload.input.js';

@ObjectType('HttpHeader', { description: 'One header to send.' })
export class HttpHeaderModel {
  @Field(() => String, { description: 'Its name.' })
  name: string;

  @Field(() => String, { description: 'Its value, exactly.' })
  value: string;
}

@ObjectType('UploadTicket', {
  description:
    'One request the client makes to storage. Send exactly these headers. PUT: one PUT of the whole body, which can ' +
    'succeed once. RESUMABLE: url is a session (a secret) that the service opened; the body is PUT to it in chunks as the ' +
    "storage's resumable protocol says, and the client goes on there after an interruption. A 412 means the bytes are " +
    'there: call completeUpload.',
})
export class UploadTicketModel {
  @Field(() => UploadMethodEnum, { description: 'What was asked for.' })
  method: 'PUT' | 'RESUMABLE';

  @Field(() => UploadProtocolEnum, { description: 'How the ticket is used.' })
  protocol: UploadTicket['protocol'];

  @Field(() => ByteSize, {
    nullable: true,
    description: 'Size of the parts of S3_MULTIPART; null for all others.',
  })
  partSizeBytes: number | null;

  @Field(() => String, { description: 'The HTTP method to use.' })
  httpMethod: string;

  @Field(() => Url, { description: 'Where to send it. A secret until it expires.' })
  url: string;

  @Field(() => [HttpHeaderModel], {
    description: 'All headers that must be sent, with exactly these values.',
  })
  headers: HttpHeaderModel[];

  @Field(() => DateTime, { description: 'Until when a PUT may start, or the session lives.' })
  expiresAt: Date;

  constructor({ protocol, httpMethod, url, headers, expiresAt }: UploadTicket) {
    Object.assign(this, {
      method: protocol === 'PUT' ? 'PUT' : 'RESUMABLE',
      protocol,
      partSizeBytes: null,
      httpMethod,
      url,
      headers,
      expiresAt,
    });
  }
}

@ObjectType('RequestUploadPayload', { description: 'An asset, and how to send its bytes.' })
export class RequestUploadPayload {
  @Field(() => AssetModel, { description: 'The asset, PENDING until its bytes arrive.' })
  asset: AssetModel;

  @Field(() => UploadTicketModel, { nullable: true, description: 'Null when nothing needs to be sent.' })
  upload: UploadTicketModel | null;

  constructor({ asset, ticket }: RequestedUpload) {
    this.asset = new AssetModel(asset);
    this.upload = ticket === null ? null : new UploadTicketModel(ticket);
  }
}

/** A request knows nothing of the batch that it is in: its path begins with `input`, that of a single one. */
function pathInBatch(index: number, [root, ...rest]: readonly (string | number)[]): string[] {
  return (root === 'input' ? ['inputs', index, ...rest] : [root ?? 'inputs', ...rest]).map(String);
}

@ObjectType('UploadRefusal', {
  description: 'One refused item of a batch; code as in errors[].extensions.code.',
})
export class UploadRefusal {
  @Field(() => Int, { description: 'Its place in the inputs, from 0.' })
  index: number;

  @Field(() => String, { description: 'As in errors[].extensions.code.' })
  code: string;

  @Field(() => String, { description: 'As in errors[].extensions.reason.' })
  reason: string;

  @Field(() => String, { description: 'Explanation for people.' })
  message: string;

  @Field(() => [String], {
    nullable: true,
    description:
      'As in errors[].extensions.path, its indexes as text: ["inputs", "1", "sizeBytes"]; null when no part of the input is to blame.',
  })
  path: string[] | null;

  constructor(index: number, { kind, reason, message, inputPath }: StowageError) {
    const path = inputPath && pathInBatch(index, inputPath);
    Object.assign(this, { index, code: ERROR_KINDS[kind].graphql, reason, message, path: path ?? null });
  }
}

export const RequestUploadResult = createUnionType({
  name: 'RequestUploadResult',
  description: 'What became of one item of a batch.',
  types: () => [RequestUploadPayload, UploadRefusal] as const,
});
