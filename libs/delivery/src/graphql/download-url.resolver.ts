import { Args, ArgsType, Field, Int, Parent, ResolveField, Resolver } from '@nestjs/graphql';
import { AssetModel, DispositionEnum, SignedUrlModel, VariantModel } from '#libs/assets/graphql';
import type { Actor } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import { type Disposition, DownloadUrlsService } from '../download-urls.service.js';

@ArgsType()
export class VariantUrlArgs {
  @Field(() => Int, {
    nullable: true,
    defaultValue: 900,
    description: 'How long the URL works: 1 to the configured maximum (default 3600).',
  })
  expiresInSeconds: number;
}

@ArgsType()
export class DownloadUrlArgs extends VariantUrlArgs {
  @Field(() => DispositionEnum, {
    nullable: true,
    defaultValue: 'ATTACHMENT',
    description: 'What a browser does with it.',
  })
  disposition: Disposition;
}

@Resolver(() => AssetModel)
export class DownloadUrlResolver {
  constructor(private readonly urls: DownloadUrlsService) {}

  @ResolveField(() => SignedUrlModel, {
    nullable: true,
    description:
      'Null unless READY and the caller may READ, and while the stored bytes are known to be damaged. ' +
      'expiresInSeconds: 1 to the configured maximum (default 3600), else BAD_USER_INPUT. INLINE is honoured for a list of safe types (images but SVG, audio, video, PDF, plain text) and ' +
      'is ATTACHMENT for all others.',
  })
  downloadUrl(
    @Parent() { asset }: AssetModel,
    @CurrentActor() actor: Actor,
    @Args() { expiresInSeconds, disposition }: DownloadUrlArgs,
  ): Promise<SignedUrlModel | null> {
    return this.urls.sign(actor, asset, expiresInSeconds ?? 900, disposition ?? 'ATTACHMENT');
  }
}

@Resolver(() => VariantModel)
export class VariantUrlResolver {
  constructor(private readonly urls: DownloadUrlsService) {}

  @ResolveField(() => SignedUrlModel, {
    nullable: true,
    description: 'Null unless the caller may READ the asset and it is READY.',
  })
  downloadUrl(
    @Parent() { asset, variant }: VariantModel,
    @CurrentActor() actor: Actor,
    @Args() { expiresInSeconds }: VariantUrlArgs,
  ): Promise<SignedUrlModel | null> {
    return this.urls.signVariant(actor, asset, variant, expiresInSeconds ?? 900);
  }
}
