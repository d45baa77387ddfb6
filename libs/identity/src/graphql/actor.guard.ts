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
 * Nothing is answered to nobody: every query and mutation needs a valid token. Global in the api. From here on, every line
 * that the operation logs says whose it is, and who acts for them.
 */
@Injectable()
export class ActorGuard implements CanActivate {
  constructor(
    private readonly identity: IdentityService,
    private readonly logger: PinoLogger,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution);
    // One operation may hold many root fields: the token is checked once.
    context.actor ??= this.recognize(context.req.headers);
    await context.actor;
    return true;
  }

  private async recognize(headers: IncomingHttpHeaders): Promise<Actor> {
    const actor = await this.identity.authenticate(headers);
    this.logger.assign({ ownerId: String(actor.ownerId), delegate: actor.delegate });
    return actor;
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
