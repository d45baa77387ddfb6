import { Args, ID, Mutation, Resolver } from '@nestjs/graphql';
import { AssetModel } from '#libs/assets/graphql';
import { type Actor, StowageError } from '#libs/domain';
import { RefusedItems } from '#libs/graphql';
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

/** How the API refuses items of {@link UploadResolver.requestUploads} one by one. */
export const UPLOAD_BATCH = { field: 'requestUploads', argument: 'inputs', most: MAX_BATCH } as const;

const ASSET_ID = { type: () => ID, description: 'The asset that requestUpload gave you.' };

@Resolver()
export class UploadResolver {
  constructor(private readonly uploads: UploadService) {}

  @Mutation(() => RequestUploadPayload, {
    description: 'Reserves quota, creates a PENDING asset and says how to send its bytes to storage.',
  })
  async requestUpload(
    @CurrentActor() actor: Actor,
    @RequestId() requestId: string,
    @PageOrigin() origin: string | undefined,
    @Args('input', { description: 'What you are going to send.' }) input: RequestUploadInput,
  ): Promise<RequestUploadPayload> {
    return new RequestUploadPayload(await this.uploads.request(actor, input, requestId, origin));
  }

  @Mutation(() => [RequestUploadResult], {
    description:
      '1 to 100 items, each accepted or refused on its own merits; results in the order of the inputs.',
  })
  async requestUploads(
    @CurrentActor() actor: Actor,
    @RequestId() requestId: string,
    @PageOrigin() origin: string | undefined,
    @Args('inputs', { type: () => [RequestUploadInput], description: 'What you are going to send.' })
    inputs: RequestUploadInput[],
    @RefusedItems() refused: ReadonlyMap<number, StowageError>,
  ): Promise<(RequestUploadPayload | UploadRefusal)[]> {
    const requests = inputs.map((input, index) => refused.get(index) ?? input);
    const results = await this.uploads.requestAll(actor, requests, requestId, origin);
    return results.map((result, index) =>
      result instanceof StowageError ? new UploadRefusal(index, result) : new RequestUploadPayload(result),
    );
  }

  @Mutation(() => UploadTicketModel, {
    description:
      'A fresh ticket for a PENDING asset whose URL expired or is about to, until its upload deadline. For RESUMABLE: the ' +
      'same session while it lives.',
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
      'Asks storage now instead of waiting for its event. Optional: the event alone is enough. A repeat answers the ' +
      'asset as it is.',
  })
  async completeUpload(
    @CurrentActor() actor: Actor,
    @Args('assetId', ASSET_ID) assetId: string,
  ): Promise<AssetModel> {
    return new AssetModel(await this.uploads.complete(actor, assetId));
  }

  @Mutation(() => AssetModel, {
    description: 'Calls a PENDING upload off and gives its quota back. A repeat answers the same.',
  })
  async cancelUpload(
    @CurrentActor() actor: Actor,
    @Args('assetId', ASSET_ID) assetId: string,
  ): Promise<AssetModel> {
    return new AssetModel(await this.uploads.cancel(actor, assetId));
  }
}
