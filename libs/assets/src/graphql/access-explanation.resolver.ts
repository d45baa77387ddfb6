import { Args, ArgsType, Field, ID, ObjectType, ResolveField, Resolver } from '@nestjs/graphql';
import {
  AccessExplanationsService,
  MAX_EXPLAINED_PRINCIPALS,
  MAX_FEATURE_GRANTS,
  MAX_GRANTS,
} from '#libs/access';
import type { Permission } from '#libs/domain';
import { MaxItems } from '#libs/graphql';
import { AdminModel } from '#libs/identity/graphql';
import { PermissionEnum } from './enums.js';

@ObjectType('AccessExplanation', { description: 'Whether callers have a permission on an asset, and why.' })
export class AccessExplanationModel {
  @Field(() => Boolean, { description: 'Whether a caller with these principals has the permission.' })
  allowed: boolean;

  @MaxItems(1 + MAX_GRANTS + MAX_FEATURE_GRANTS)
  @Field(() => [String], {
    description:
      'If allowed: OWNER, ADMIN, or each entry of the access list that gives the permission, such as "group:editors WRITE until ' +
      '2026-12-01T00:00:00.000Z", or "albums:7 READ via user:42" for an entry whose principal is held by shares of a feature. ' +
      'Access ends when all of these entries are removed; on a DELETED asset WRITE needs DELETE too, and ends with either. If not allowed: NO_ASSET (there is no such ' +
      'asset), NO_GRANT, DELETED (the asset is deleted, and no entry gives DELETE), and EXPIRED followed by each entry that gave ' +
      'the permission before. An expired entry is kept for a day, unless a later grant on the asset removes it.',
  })
  because: readonly string[];
}

@ArgsType()
export class ExplainAccessArgs {
  @Field(() => ID, { description: 'Id of the asset.' })
  assetId: string;

  @Field(() => [String], {
    description:
      `1 to ${MAX_EXPLAINED_PRINCIPALS} principals that one caller has together, as in viewer.principals: user:<id>, group:<name>, ` +
      '*. Everyone has *, but it counts only when given. Principals of features, such as albums:7, may be given as well. ADMIN ' +
      'stands for the token of an operator, which no principal represents.',
  })
  principals: string[];

  @Field(() => PermissionEnum, { description: 'The permission to explain.' })
  permission: Permission;
}

@Resolver(() => AdminModel)
export class AccessExplanationResolver {
  constructor(private readonly explanations: AccessExplanationsService) {}

  @ResolveField(() => AccessExplanationModel, {
    description:
      'Explains the decision that the service takes for callers with these principals now. Names the grants of an asset, so it ' +
      'is for operators only.',
  })
  explainAccess(
    @Args() { assetId, principals, permission }: ExplainAccessArgs,
  ): Promise<AccessExplanationModel> {
    return this.explanations.explain(assetId, principals, permission);
  }
}
