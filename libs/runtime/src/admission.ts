import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Why a request is rejected: a stable reason, and a message for the client. */
export interface AdmissionRefusal {
  readonly reason: string;
  readonly message: string;
}

/** Returns the refusal, or null for an accepted request. */
export type AdmissionCheck = (request: IncomingMessage) => AdmissionRefusal | null;

/**
 * Answers 403 to every request that `check` rejects. Call it before adding other hooks and routes, because they would
 * run first. WebSocket upgrades do not pass through Fastify: their handler must call `check` itself.
 */
export function admitRequests(server: FastifyInstance, check: AdmissionCheck): void {
  server.addHook('onRequest', async (request, reply) => {
    const refusal = check(request.raw);
    if (refusal !== null) await reply.status(403).send({ code: 'FORBIDDEN', ...refusal });
  });
}
