import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';

/**
 * Refuses requests and sockets whose Host is another than these, with 403. A page elsewhere can make its own name lead to
 * loopback (DNS rebinding), but cannot change the Host that the browser sends.
 */
export function allowHosts(server: FastifyInstance, hosts: readonly string[]): void {
  const allowed = new Set(hosts);
  const isAllowed = ({ headers }: IncomingMessage) => allowed.has(headers.host?.toLowerCase() ?? '');

  server.addHook('onRequest', async (request, reply) => {
    if (isAllowed(request.raw)) return;
    const refusal = {
      code: 'FORBIDDEN',
      reason: 'HOST_NOT_ALLOWED',
      message: 'This is not the name of this server.',
    };
    await reply.status(403).send(refusal);
  });

  // Upgrades do not pass through Fastify's hooks. Where nobody takes them they are ordinary requests, and must stay so.
  server.addHook('onReady', (done) => {
    if (server.server.listenerCount('upgrade') > 0) {
      server.server.prependListener('upgrade', (request: IncomingMessage, socket: Duplex) => {
        if (isAllowed(request)) return;
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n', () => socket.destroy());
      });
    }
    done();
  });
}
