import { createUnionType, Field, Int, ObjectType } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { ERROR_KINDS, type StowageError } from '#libs/domain';
import { ByteSize, DateTime, MaxItems, pathInBatch, Url } from '#libs/graphql';
import type { UploadTicket } from '../upload-signer.js';
import type { RequestedUpload } from '../upload.service.js';
import { UploadMethodEnum, UploadProtocolEnum } from './upload.input.js';

@ObjectType('HttpHeader', { description: 'An HTTP header to send.' })
export class HttpHeaderModel {
  @Field(() => String, { description: 'Name of the header.' })
  name: string;

  @Field(() => String, { description: 'Exact value of the header.' })
  value: string;
}

@ObjectType('UploadTicket', {
  description:
    'A request that the client sends to storage, with exactly these headers. PUT: one PUT of the whole body, which can ' +
    'succeed once. RESUMABLE: url is a session (a secret) that the service opened; the client PUTs the body to it in chunks, ' +
    "by the storage's resumable protocol, and continues there after an interruption. A 412 response means that storage has " +
    'the bytes already: call completeUpload.',
})
export class UploadTicketModel {
  @Field(() => UploadMethodEnum, { description: 'Requested method.' })
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

  @Field(() => Url, { description: 'Send the request to this URL. It is a secret until it expires.' })
  url: string;

  @MaxItems(16, { counted: 1 })
  @Field(() => [HttpHeaderModel], {
    description: 'All headers that must be sent, with exactly these values.',
  })
  headers: HttpHeaderModel[];

  @Field(() => DateTime, { description: 'Latest time to start a PUT, or expiry of the session.' })
  expiresAt: Date;

  constructor(ticket: UploadTicket) {
    const method = ticket.protocol === 'PUT' ? 'PUT' : 'RESUMABLE';
    Object.assign(this, { ...ticket, method, partSizeBytes: null });
  }
}

@ObjectType('RequestUploadPayload', { description: 'An asset, and a ticket to send its bytes.' })
export class RequestUploadPayload {
  @Field(() => AssetModel, { description: 'The asset, PENDING until its bytes are uploaded.' })
  asset: AssetModel;

  @Field(() => UploadTicketModel, { nullable: true, description: 'Null when no bytes need to be sent.' })
  upload: UploadTicketModel | null;

  constructor({ asset, ticket }: RequestedUpload) {
    this.asset = new AssetModel(asset);
    this.upload = ticket === null ? null : new UploadTicketModel(ticket);
  }
}

@ObjectType('UploadRefusal', {
  description: 'A rejected item of a batch; code as in errors[].extensions.code.',
})
export class UploadRefusal {
  @Field(() => Int, { description: 'Index of the item in the inputs, from 0.' })
  index: number;

  @Field(() => String, { description: 'As in errors[].extensions.code.' })
  code: string;

  @Field(() => String, { description: 'As in errors[].extensions.reason.' })
  reason: string;

  @Field(() => String, { description: 'Explanation for people.' })
  message: string;

  // Argument, index, and the nesting of fields and lists in an input.
  @MaxItems(8)
  @Field(() => [String], {
    nullable: true,
    description:
      'As in errors[].extensions.path, its indexes as text: ["inputs", "1", "sizeBytes"]; null when the error concerns no ' +
      'part of the input.',
  })
  path: string[] | null;

  constructor(index: number, { kind, reason, message, inputPath }: StowageError) {
    const path = inputPath ? pathInBatch(index, inputPath) : null;
    Object.assign(this, { index, code: ERROR_KINDS[kind].graphql, reason, message, path });
  }
}

export const RequestUploadResult = createUnionType({
  name: 'RequestUploadResult',
  description: 'Result of one item of a batch.',
  types: () => [RequestUploadPayload, UploadRefusal] as const,
});
