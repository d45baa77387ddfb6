import { type ArgumentsHost, Catch } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import type { FastifyReply } from 'fastify';
import { ERROR_KINDS, StowageError } from '#libs/domain';

/**
 * Maps errors to answers. A GraphQL error passes through to `formatGraphQLError`; Nest's base filter would log it as a
 * bug. Over plain HTTP, a StowageError is answered with the status of its kind.
 */
@Catch()
export class ErrorsFilter extends BaseExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): unknown {
    if (host.getType<string>() === 'graphql') return error;
    if (!(error instanceof StowageError) || error.kind === 'internal') return super.catch(error, host);
    const { kind, reason, message, retryAfterSeconds } = error;
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (retryAfterSeconds !== undefined) void reply.header('retry-after', retryAfterSeconds);
    return reply.status(ERROR_KINDS[kind].http).send({ code: ERROR_KINDS[kind].graphql, reason, message });
  }
}
