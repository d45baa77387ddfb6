import type { NestFastifyApplication } from '@nestjs/platform-fastify';

const ANSWERED = {
  methods: ['POST', 'GET'],
  allowedHeaders: ['authorization', 'content-type', 'x-request-id', 'x-stowage-on-behalf-of'],
  exposedHeaders: ['x-request-id', 'retry-after'],
  credentials: false,
  maxAge: 3600,
};

/**
 * Lets pages of these origins (`*`: of all) use /graphql, and nothing else of this server. A page elsewhere may still send
 * what needs no preflight, which is nothing that is served.
 */
export function allowOrigins(app: NestFastifyApplication, origins: readonly string[]): void {
  const graphql = { ...ANSWERED, origin: [...origins] };
  app.enableCors({
    // After all that refuses or answers earlier: the Host check has the first word, and the playground's page, which may
    // hold a token, is for no other origin.
    hook: 'preParsing',
    delegator: ({ url = '' }, callback) => {
      callback(null, url.split('?', 1)[0] === '/graphql' ? graphql : { origin: false });
    },
  });
}
