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
    description: 'Lifetime of the URL in seconds: 1 to the configured maximum (default 3600).',
  })
  expiresInSeconds: number;
}

@ArgsType()
export class DownloadUrlArgs extends VariantUrlArgs {
  @Field(() => DispositionEnum, {
    nullable: true,
    defaultValue: 'ATTACHMENT',
    description: 'Whether a browser saves or displays the file.',
  })
  disposition: Disposition;
}

@Resolver(() => AssetModel)
export class DownloadUrlResolver {
  constructor(private readonly urls: DownloadUrlsService) {}

  @ResolveField(() => SignedUrlModel, {
    nullable: true,
    description:
      'Null unless the asset is READY and the caller may READ it; also null while the stored bytes are known to be damaged. ' +
      'The URL expires earlier than requested when the grant by which the caller reads ends before. ' +
      'An expiresInSeconds out of range fails with BAD_USER_INPUT. INLINE applies to safe types (images except SVG, audio, video, PDF, plain text); ' +
      'all other types are served as ATTACHMENT.',
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
    description:
      'Null unless the asset is READY and the caller may READ it. The URL expires earlier than requested when the grant by ' +
      'which the caller reads ends before.',
  })
  downloadUrl(
    @Parent() { asset, variant }: VariantModel,
    @CurrentActor() actor: Actor,
    @Args() { expiresInSeconds }: VariantUrlArgs,
  ): Promise<SignedUrlModel | null> {
    return this.urls.signVariant(actor, asset, variant, expiresInSeconds ?? 900);
  }
}
