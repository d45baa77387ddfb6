import { Field, ID, InputType } from '@nestjs/graphql';
import type { Permission } from '#libs/domain';
import { DateTime } from '#libs/graphql';
import { PermissionEnum } from './enums.js';

@InputType('GrantAccessInput', { description: 'Permissions for one principal on an asset.' })
export class GrantAccessInput {
  @Field(() => ID, { description: 'Id of the asset.' })
  assetId: string;

  @Field(() => String, {
    description:
      'user:<id>, group:<name>, or * (everyone, who can be granted READ only). Principals of features are refused: features ' +
      'share assets by mutations of their own.',
  })
  principal: string;

  @Field(() => [PermissionEnum], {
    description: 'At least one permission. WRITE and DELETE include READ.',
  })
  permissions: Permission[];

  @Field(() => DateTime, {
    nullable: true,
    description: 'When the grant ends, in the future; never when omitted.',
  })
  expiresAt?: Date | null;
}

@InputType('RevokeAccessInput', { description: 'Permissions of one principal on an asset.' })
export class RevokeAccessInput {
  @Field(() => ID, { description: 'Id of the asset.' })
  assetId: string;

  @Field(() => String, { description: 'user:<id>, group:<name>, or *, as in Asset.acl.' })
  principal: string;

  @Field(() => [PermissionEnum], {
    nullable: true,
    description:
      'At least one permission; all when omitted. A principal with WRITE or DELETE can still read after READ was revoked.',
  })
  permissions?: Permission[] | null;
}
