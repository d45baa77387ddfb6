import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { type Actor, StowageError } from '#libs/domain';
import { MaxItems, RefusedItems } from '#libs/graphql';
import { CurrentActor, RequestId } from '#libs/identity/graphql';
import { MAX_BATCH, UploadService } from '../upload.service.js';
import { PageOrigin } from './page-origin.js';
import { RequestUploadInput } from './upload.input.js';
import {
  RequestUploadPayload,
  RequestUploadResult,
  UploadRefusal,
  UploadTicketModel,
} from './upload.model.js';

/** Lets the API reject invalid items of {@link UploadResolver.requestUploads} one by one. */
export const UPLOAD_BATCH = { field: 'requestUploads', argument: 'inputs', most: MAX_BATCH } as const;

const ASSET_ID = { type: () => ID, description: 'Id of the asset that requestUpload returned.' };

@Resolver()
export class UploadResolver {
  constructor(private readonly uploads: UploadService) {}

  @Mutation(() => RequestUploadPayload, {
    description: 'Reserves quota, creates a PENDING asset and returns a ticket to send its bytes to storage.',
  })
  async requestUpload(
    @CurrentActor() actor: Actor,
    @RequestId() requestId: string,
    @PageOrigin() origin: string | undefined,
    @Args('input', { description: 'The file to upload.' }) input: RequestUploadInput,
  ): Promise<RequestUploadPayload> {
    return new RequestUploadPayload(await this.uploads.request(actor, input, requestId, origin));
  }

  @MaxItems(MAX_BATCH)
  @Mutation(() => [RequestUploadResult], {
    description:
      'Requests 1 to 100 uploads, each accepted or rejected independently. Results are in the order of the inputs.',
  })
  async requestUploads(
    @CurrentActor() actor: Actor,
    @RequestId() requestId: string,
    @PageOrigin() origin: string | undefined,
    @Args('inputs', { type: () => [RequestUploadInput], description: 'The files to upload.' })
    inputs: RequestUploadInput[],
    @RefusedItems() refused: ReadonlyMap<number, StowageError>,
  ): Promise<(RequestUploadPayload | UploadRefusal)[]> {
    const requests = inputs.map((input, index) => refused.get(index) ?? input);
    const results = await this.uploads.requestAll(actor, requests, requestId, origin);
    return results.map((result, index) =>
      result instanceof StowageError ? new UploadRefusal(index, result) : new RequestUploadPayload(result),
    );
  }

  @Mutation(() => RequestUploadPayload, {
    description:
      'Requests an upload that replaces the bytes of a READY asset once it is READY itself. The asset keeps its id, filename, ' +
      'metadata and access list. Its old bytes are served until then, and both count against the quota until then; URLs of the old ' +
      'bytes may end with them. The upload is ' +
      'answered as a hidden asset with the field replaces; watch both. If the asset changes its bytes or is deleted meanwhile, the ' +
      'upload is REJECTED with REPLACEMENT_OBSOLETE. For the owner and operators. When the asset has the bytes already, also when a ' +
      'finished call is repeated, it is returned itself and upload is null. Before, a repeat with an idempotencyKey returns the upload.',
  })
  async replaceUpload(
    @CurrentActor() actor: Actor,
    @RequestId() requestId: string,
    @PageOrigin() origin: string | undefined,
    @Args('id', { type: () => ID, description: 'Id of the asset whose bytes are replaced.' }) id: string,
    @Args('input', { description: 'The new file; without metadata and acl.' }) input: RequestUploadInput,
  ): Promise<RequestUploadPayload> {
    return new RequestUploadPayload(await this.uploads.replace(actor, id, input, requestId, origin));
  }

  @Mutation(() => UploadTicketModel, {
    description:
      'Issues a new ticket for a PENDING asset whose URL has expired or is about to, until its upload deadline. A RESUMABLE ' +
      'upload keeps its session until that ends.',
  })
  async renewUpload(
    @CurrentActor() actor: Actor,
    @PageOrigin() origin: string | undefined,
    @Args('assetId', ASSET_ID) assetId: string,
  ): Promise<UploadTicketModel> {
    return new UploadTicketModel(await this.uploads.renew(actor, assetId, origin));
  }

  @Mutation(() => AssetModel, {
    description:
      'Checks storage immediately instead of waiting for its event. Optional: the event alone is enough. Repeating the call ' +
      'returns the asset as it is.',
  })
  async completeUpload(
    @CurrentActor() actor: Actor,
    @Args('assetId', ASSET_ID) assetId: string,
  ): Promise<AssetModel> {
    return new AssetModel(await this.uploads.complete(actor, assetId));
  }

  @Mutation(() => AssetModel, {
    description:
      'Cancels a PENDING upload and releases its quota. Repeating the call returns the cancelled asset.',
  })
  async cancelUpload(
    @CurrentActor() actor: Actor,
    @Args('assetId', ASSET_ID) assetId: string,
  ): Promise<AssetModel> {
    return new AssetModel(await this.uploads.cancel(actor, assetId));
  }
}
