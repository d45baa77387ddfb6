import { Args, Mutation, Resolver } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { CurrentActor } from '#libs/identity/graphql';
import { AssetGrantsService } from '../asset-grants.service.js';
import { GrantAccessInput, RevokeAccessInput } from './asset-grants.args.js';
import { AssetModel } from './asset.model.js';

@Resolver()
export class AssetGrantsResolver {
  constructor(private readonly grants: AssetGrantsService) {}

  @Mutation(() => AssetModel, {
    description:
      'Grants permissions to a principal, for the owner and operators only. The expiry of these permissions is replaced, other ' +
      'permissions of the principal stay. At most 200 unexpired grants per asset; expired ones are removed. Repeating the call ' +
      'returns the asset with the same access list, and BAD_USER_INPUT (EXPIRY_PAST) once expiresAt is over.',
  })
  async grantAccess(
    @CurrentActor() actor: Actor,
    @Args('input', { description: 'What is granted, to whom.' }) input: GrantAccessInput,
  ): Promise<AssetModel> {
    return new AssetModel(await this.grants.grant(actor, input));
  }

  @Mutation(() => AssetModel, {
    description:
      'Revokes permissions of a principal, for the owner and operators only. The revocation takes effect at once, and within a second in open ' +
      'subscriptions; download URLs that were handed out work until they expire. Principals who have access by another grant, by ' +
      'a group, by * or by a feature keep it. Revoking what is not granted changes nothing, so repeating the call returns the asset.',
  })
  async revokeAccess(
    @CurrentActor() actor: Actor,
    @Args('input', { description: 'What is revoked, from whom.' }) input: RevokeAccessInput,
  ): Promise<AssetModel> {
    return new AssetModel(await this.grants.revoke(actor, input));
  }
}
