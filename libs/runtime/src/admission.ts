import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Why a request is not served: a stable reason, and a sentence for the caller. */
export interface AdmissionRefusal {
  readonly reason: string;
  readonly message: string;
}

/** Returns null for a request that is served. */
export type AdmissionCheck = (request: IncomingMessage) => AdmissionRefusal | null;

/**
 * Answers 403 to every request that `check` refuses. Call it before other hooks and routes are added, so that nothing else
 * sees the request. Upgrades to WebSocket do not pass through Fastify: their handler must ask `check` itself.
 */
export function admitRequests(server: FastifyInstance, check: AdmissionCheck): void {
  server.addHook('onRequest', async (request, reply) => {
    const refusal = check(request.raw);
    if (refusal !== null) await reply.status(403).send({ code: 'FORBIDDEN', ...refusal });
  });
}
