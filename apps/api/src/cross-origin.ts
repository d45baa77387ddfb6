import type { NestFastifyApplication } from '@nestjs/platform-fastify';

/** Headers that mean something to this API. */
const OWN_HEADERS = ['authorization', 'content-type', 'x-request-id', 'x-stowage-on-behalf-of'];

/**
 * Headers that GraphQL clients and tracing add by themselves: a browser sends nothing at all when one of them is not allowed.
 * https://www.apollographql.com/docs/graphos/platform/insights/client-segmentation, https://www.w3.org/TR/trace-context/
 */
export const CLIENT_HEADERS = [
  'apollo-require-preflight',
  'apollographql-client-name',
  'apollographql-client-version',
  'x-apollo-operation-id',
  'x-apollo-operation-name',
  'x-apollo-operation-type',
  'traceparent',
  'tracestate',
  'baggage',
];

const ANSWERED = {
  methods: ['POST', 'GET'],
  exposedHeaders: ['x-request-id', 'retry-after'],
  credentials: false,
  maxAge: 3600,
};

/**
 * Lets pages of these origins (`*`: of all) use /graphql with these headers beside the API's own, and nothing else of this
 * server. A page elsewhere may still send what needs no preflight, which is nothing that is served.
 */
export function allowOrigins(
  app: NestFastifyApplication,
  origins: readonly string[],
  headers: readonly string[],
): void {
  const allowedHeaders = [...new Set([...OWN_HEADERS, ...headers])];
  const graphql = { ...ANSWERED, allowedHeaders, origin: [...origins] };
  app.enableCors({
    // After all that refuses or answers earlier: the Host check has the first word, and the playground's page, which may
    // hold a token, is for no other origin.
    hook: 'preParsing',
    delegator: ({ url = '' }, callback) => {
      callback(null, url.split('?', 1)[0] === '/graphql' ? graphql : { origin: false });
    },
  });
}
