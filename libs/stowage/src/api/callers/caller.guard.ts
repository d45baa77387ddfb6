import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { type GqlContextType, GqlExecutionContext } from '@nestjs/graphql';
import type { Actor } from '#libs/domain';
import { ActorGuard } from '#libs/identity/graphql';
import { RateLimiter } from './rate-limiter.js';
import { weightOf } from './weight.js';

/**
 * Authenticates the caller of each GraphQL root field and enforces the caller's rate limit. Routes outside of GraphQL
 * control access themselves.
 */
@Injectable()
export class CallerGuard implements CanActivate {
  constructor(
    private readonly actors: ActorGuard,
    private readonly limiter: RateLimiter,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    if (execution.getType<GqlContextType>() !== 'graphql') return true;
    if (!(await this.actors.canActivate(execution))) return false;
    const graphql = GqlExecutionContext.create(execution);
    const actor = await graphql.getContext<{ readonly actor: Promise<Actor> }>().actor;
    const lease = this.limiter.take(actor.ownerId, weightOf(graphql.getInfo(), graphql.getArgs()));
    if (lease !== undefined) await lease;
    return true;
  }
}
