import { ObjectType, Query, Resolver } from '@nestjs/graphql';
import { type Actor, StowageError } from '#libs/domain';
import { CurrentActor } from './actor.guard.js';

/** Requires an operator. @throws StowageError forbidden OPERATORS_ONLY */
export function assertOperator(actor: Actor): void {
  if (!actor.isAdmin) throw new StowageError('forbidden', 'OPERATORS_ONLY', 'Only operators may do this.');
}

@ObjectType('Admin', { description: 'Functions for operators.' })
export class AdminModel {}

@Resolver(() => AdminModel)
export class AdminResolver {
  @Query(() => AdminModel, { description: 'Operators only, including every field below.' })
  admin(@CurrentActor() actor: Actor): AdminModel {
    assertOperator(actor);
    return new AdminModel();
  }
}
