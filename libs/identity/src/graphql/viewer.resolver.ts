import { Field, ID, ObjectType, Query, Resolver } from '@nestjs/graphql';
import { type Actor, principalsOf } from '#libs/domain';
import { CurrentActor } from './actor.guard.js';

@ObjectType('Viewer', { description: 'The caller, as identified by the token.' })
export class ViewerModel {
  @Field(() => ID, { description: 'Owner id of the caller.' })
  id: string;

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
