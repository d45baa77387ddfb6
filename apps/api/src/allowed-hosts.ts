import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/** Whether a request's Host is one of these; any is when none are given. */
export function hostCheck(hosts?: readonly string[]): (request: IncomingMessage) => boolean {
  const allowed = new Set(hosts);
  return ({ headers }) => hosts === undefined || allowed.has(headers.host?.toLowerCase() ?? '');
}

/**
 * Refuses requests whose Host is another than these, with 403. A page elsewhere can make its own name lead to loopback (DNS
 * rebinding), but cannot change the Host that the browser sends. Sockets are let in by the server of subscriptions, which
 * asks the same {@link hostCheck}.
 */
export function allowHosts(server: FastifyInstance, hosts: readonly string[]): void {
  const isAllowed = hostCheck(hosts);
  server.addHook('onRequest', async (request, reply) => {
    if (isAllowed(request.raw)) return;
    const refusal = {
      code: 'FORBIDDEN',
      reason: 'HOST_NOT_ALLOWED',
      message: 'This is not the name of this server.',
    };
    await reply.status(403).send(refusal);
  });
}
