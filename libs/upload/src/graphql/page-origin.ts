import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import type { GraphQLContext } from '#libs/graphql';

/** The Origin header of the request. Clients can forge it, so it must not grant access. */
export const PageOrigin = createParamDecorator(
  (_: unknown, execution: ExecutionContext) =>
    GqlExecutionContext.create(execution).getContext<GraphQLContext>().req.headers.origin,
);
