import { Field, ObjectType } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { DateTime, Url } from '#libs/graphql-edge';
import type { RequestedUpload } from '../upload.service.js';
import { UploadMethodEnum } from './upload.input.js';

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
    'succeed once. RESUMABLE: a POST that answers with a Location, to which the body is then PUT in chunks as the ' +
    "storage's resumable protocol says; the client keeps the Location (a secret) and goes on there after an " +
    'interruption. A 412 means the bytes are there: call completeUpload.',
})
export class UploadTicketModel {
  @Field(() => UploadMethodEnum, { description: 'What was asked for.' })
  method: 'PUT' | 'RESUMABLE';

  @Field(() => String, { description: 'The HTTP method to use.' })
  httpMethod: string;

  @Field(() => Url, { description: 'Where to send it. A secret until it expires.' })
  url: string;

  @Field(() => [HttpHeaderModel], {
    description: 'All headers that must be sent, with exactly these values.',
  })
  headers: HttpHeaderModel[];

  @Field(() => DateTime, { description: 'Until when the request may start.' })
  expiresAt: Date;
}

@ObjectType('RequestUploadPayload', { description: 'An asset, and how to send its bytes.' })
export class RequestUploadPayload {
  @Field(() => AssetModel, { description: 'The asset, PENDING until its bytes arrive.' })
  asset: AssetModel;

  @Field(() => UploadTicketModel, { nullable: true, description: 'Null when nothing needs to be sent.' })
  upload: UploadTicketModel | null;

  constructor({ asset, ticket }: RequestedUpload) {
    this.asset = new AssetModel(asset);
    this.upload = ticket === null ? null : { ...ticket, method: 'PUT', headers: [...ticket.headers] };
  }
}
