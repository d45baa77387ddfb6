import { ObjectType, Query, Resolver } from '@nestjs/graphql';
import { type Actor, StowageError } from '#libs/domain';
import { CurrentActor } from './actor.guard.js';

/** @throws StowageError forbidden OPERATORS_ONLY */
export function assertOperator(actor: Actor): void {
  if (!actor.isAdmin) throw new StowageError('forbidden', 'OPERATORS_ONLY', 'This is for operators only.');
}

@ObjectType('Admin', { description: 'What operators see.' })
export class AdminModel {}

@Resolver(() => AdminModel)
export class AdminResolver {
  @Query(() => AdminModel, { description: 'Operators only, like everything under it.' })
  admin(@CurrentActor() actor: Actor): AdminModel {
    assertOperator(actor);
    return new AdminModel();
  }
}
