import { Field, ID, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { type Actor, principalsOf } from '#libs/domain';
import { MaxItems } from '#libs/graphql';
import { MAX_GROUPS } from '../token-verifier.js';
import { CurrentActor } from './actor.guard.js';

@ObjectType('Viewer', { description: 'The caller, as identified by the token.' })
export class ViewerModel {
  @Field(() => ID, { description: 'Owner id of the caller.' })
  id: string;

  // The user, groups, and everyone.
  @MaxItems(1 + MAX_GROUPS + 1)
  @Field(() => [String], {
    description: 'Principals by which access lists can name the caller: user:<id>, group:<name>, and *.',
  })
  principals: string[];

  @Field(() => Boolean, { description: 'Whether the caller is an operator.' })
  isAdmin: boolean;
}

@Resolver(() => ViewerModel)
export class ViewerResolver {
  @Query(() => ViewerModel, { description: 'The caller.' })
  viewer(@CurrentActor() actor: Actor): ViewerModel {
    return { id: String(actor.ownerId), principals: principalsOf(actor), isAdmin: actor.isAdmin };
  }
}
