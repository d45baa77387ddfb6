import { type ArgumentsHost, Catch, Logger } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import type { FastifyError, FastifyReply } from 'fastify';
import { ERROR_KINDS, StowageError } from '#libs/domain';

/** A body that cannot be read, is too large or of another type: https://fastify.dev/docs/latest/Reference/Errors/ */
const isUnreadable = (error: unknown): error is FastifyError =>
  error instanceof Error &&
  'code' in error &&
  String(error.code).startsWith('FST_') &&
  'statusCode' in error &&
  Number(error.statusCode) < 500;

/**
 * The edges of the error table that answer callers. GraphQL errors go on to `formatGraphQLError` (and are not logged as
 * bugs on their way); over plain HTTP a StowageError is answered with the status of its kind. A client's mistake is logged
 * at the level debug, by its code.
 */
@Catch()
export class ErrorsFilter extends BaseExceptionFilter {
  private readonly log = new Logger(ErrorsFilter.name);

  override catch(error: unknown, host: ArgumentsHost): unknown {
    if (host.getType<string>() === 'graphql') return error;
    if (isUnreadable(error)) {
      const { statusCode = 400, code, message } = error;
      this.log.debug({ code }, 'request refused');
      return host.switchToHttp().getResponse<FastifyReply>().status(statusCode).send({ statusCode, message });
    }
    if (!(error instanceof StowageError) || error.kind === 'internal') return super.catch(error, host);
    const { kind, reason, message, retryAfterSeconds } = error;
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (retryAfterSeconds !== undefined) void reply.header('retry-after', retryAfterSeconds);
    return reply.status(ERROR_KINDS[kind].http).send({ code: ERROR_KINDS[kind].graphql, reason, message });
  }
}
