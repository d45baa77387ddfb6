import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { HttpConfig } from './http.config.js';

/** Headers that this API reads. */
const OWN_HEADERS = ['authorization', 'content-type', 'x-request-id', 'x-stowage-on-behalf-of'];

/**
 * Headers that GraphQL clients and tracing add by themselves. A browser blocks the whole request if one of them is not
 * allowed. https://www.apollographql.com/docs/graphos/platform/insights/client-segmentation,
 * https://www.w3.org/TR/trace-context/
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

const CORS_OPTIONS = {
  methods: ['POST', 'GET'],
  exposedHeaders: ['x-request-id', 'retry-after'],
  credentials: false,
  maxAge: 3600,
};

/**
 * Enables CORS on /graphql only, for pages of the configured origins with the configured headers in addition to the
 * API's own. Pages of other origins can still send requests without a preflight, but the API serves none of those.
 */
export function allowOrigins(
  app: NestFastifyApplication,
  { corsOrigins, corsHeaders }: Pick<HttpConfig, 'corsOrigins' | 'corsHeaders'>,
): void {
  const allowedHeaders = [...new Set([...OWN_HEADERS, ...corsHeaders])];
  const graphql = { ...CORS_OPTIONS, allowedHeaders, origin: [...corsOrigins] };
  app.enableCors({
    // Runs after the hooks that reject or answer earlier. The Host check comes first, and the playground page, which
    // may contain a token, must not be readable by other origins.
    hook: 'preParsing',
    delegator: ({ url = '' }, callback) => {
      callback(null, url.split('?', 1)[0] === '/graphql' ? graphql : { origin: false });
    },
  });
}
