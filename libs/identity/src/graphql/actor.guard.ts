import { type CanActivate, createParamDecorator, type ExecutionContext, Injectable } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import type { GraphQLContext } from '#libs/graphql-edge';
import { Identity } from '../identity.service.js';

interface ActorContext extends GraphQLContext {
  actor?: Promise<Actor>;
}

const contextOf = (execution: ExecutionContext) =>
  GqlExecutionContext.create(execution).getContext<ActorContext>();

/** Nothing is answered to nobody: every query and mutation needs a valid token. Global in the api. */
@Injectable()
export class ActorGuard implements CanActivate {
  constructor(private readonly identity: Identity) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution);
    // One operation may hold many root fields: the token is checked once.
    context.actor ??= this.identity.authenticate(context.req.headers);
    await context.actor;
    return true;
  }
}

/** The caller. Also for field resolvers, which run after the guard of their root field. */
export const CurrentActor = createParamDecorator(
  (_: unknown, execution: ExecutionContext) => contextOf(execution).actor,
);

/** The id of the request, the same in every log line that it causes. */
export const RequestId = createParamDecorator(
  (_: unknown, execution: ExecutionContext) => contextOf(execution).req.id,
);
