import { type CanActivate, createParamDecorator, type ExecutionContext, Injectable } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import type { IncomingHttpHeaders } from 'node:http';
import { PinoLogger } from 'nestjs-pino';
import type { Actor } from '#libs/domain';
import type { GraphQLContext } from '#libs/graphql';
import { IdentityService } from '../identity.service.js';

interface ActorContext extends GraphQLContext {
  actor?: Promise<Actor>;
}

const contextOf = (execution: ExecutionContext) =>
  GqlExecutionContext.create(execution).getContext<ActorContext>();

/**
 * Every query and mutation requires a valid token. The API registers this guard globally. The guard adds the owner and
 * the delegate to all later log lines of the operation.
 */
@Injectable()
export class ActorGuard implements CanActivate {
  constructor(
    private readonly identity: IdentityService,
    private readonly logger: PinoLogger,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution);
    // An operation may have many root fields, and the guard runs for each: the token is verified once.
    context.actor ??= this.authenticate(context.req.headers);
    await context.actor;
    return true;
  }

  private async authenticate(headers: IncomingHttpHeaders): Promise<Actor> {
    const actor = await this.identity.authenticate(headers);
    this.logger.assign({ ownerId: String(actor.ownerId), delegate: actor.delegate });
    return actor;
  }
}

/**
 * The caller of an operation, for code that has the context but is no resolver.
 * @throws Error if the guard did not run before
 */
export async function actorOf(context: GraphQLContext): Promise<Actor> {
  const actor = await (context as ActorContext).actor;
  if (actor === undefined) throw new Error('The operation has no caller: its root field has no guard.');
  return actor;
}

/** Parameter decorator: the caller. Also works in field resolvers, which run after the guard of their root field. */
export const CurrentActor = createParamDecorator(
  (_: unknown, execution: ExecutionContext) => contextOf(execution).actor,
);

/** Parameter decorator: the id of the request, which is in all of its log lines. */
export const RequestId = createParamDecorator(
  (_: unknown, execution: ExecutionContext) => contextOf(execution).req.id,
);
