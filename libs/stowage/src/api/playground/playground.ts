import { IsOptional, IsString } from 'class-validator';
import type { FastifyInstance } from 'fastify';
import { Flag, Variable } from '#libs/runtime';
import { type PageAsset, readPageAssets } from './assets.js';
import { EXAMPLES, operationName } from './examples/index.js';

export class PlaygroundConfig {
  /** Whether browsers get GraphiQL at /graphql; by default only if NODE_ENV is not `production`. */
  @Variable('PLAYGROUND')
  @IsOptional()
  @Flag()
  readonly served?: boolean;

  @Variable('NODE_ENV')
  @IsOptional()
  @IsString()
  readonly nodeEnv?: string;

  /** Token that the page contains for every visitor. Only for a stack that is reachable by its owner alone. */
  @Variable('PLAYGROUND_TOKEN')
  @IsOptional()
  @IsString()
  readonly token?: string;

  get isServed(): boolean {
    return this.served ?? this.nodeEnv !== 'production';
  }
}

/**
 * Allows resources of this server only, and no framing. GraphiQL's fonts are data: URLs. Its dialogs add style elements
 * with content that depends on the browser, hence `unsafe-inline` for styles.
 */
const CONTENT_SECURITY_POLICY = [
  `default-src 'none'`,
  `script-src 'self'`,
  `style-src 'self' 'unsafe-inline'`,
  `font-src 'self' data:`,
  `img-src 'self' data:`,
  `connect-src 'self'`,
  `base-uri 'none'`,
  `form-action 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
};

const PAGE_HEADERS = {
  ...SECURITY_HEADERS,
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  vary: 'accept',
};

const ASSET_HEADERS = { ...SECURITY_HEADERS, 'cache-control': 'public, max-age=31536000, immutable' };

/** Serves GraphiQL to browsers that open /graphql, without resources of other hosts. Other clients are not affected. */
export function servePlayground(server: FastifyInstance, { token }: PlaygroundConfig): void {
  const { styles, scripts } = readPageAssets();
  const page = pageOf(styles, scripts, token);
  // Apollo owns the route, so a hook serves the page.
  server.addHook('onRequest', async (request, reply) => {
    const isPage = request.method === 'GET' && request.url.split('?', 1)[0] === '/graphql';
    if (isPage && /\btext\/html\b/.test(request.headers.accept ?? '')) {
      await reply.headers(PAGE_HEADERS).send(page);
    }
  });
  for (const { path, type, body } of [...styles, ...scripts]) {
    server.get(path, (_, reply) => reply.headers(ASSET_HEADERS).type(type).send(body));
  }
}

function pageOf(styles: PageAsset[], scripts: PageAsset[], token?: string): string {
  const headers = token === undefined ? undefined : json({ Authorization: `Bearer ${token}` });
  const examples = EXAMPLES.map((group) => ({
    ...group,
    examples: group.examples.map(({ query, variables }) => ({
      name: operationName({ query }),
      query,
      variables: variables && json(variables),
    })),
  }));
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width" />
    <title>Stowage playground</title>
    <link rel="icon" href="data:," />
    ${styles.map(({ path }) => `<link rel="stylesheet" href="${path}" />`).join('\n    ')}
  </head>
  <body>
    <div id="playground">Loading …</div>
    <script type="application/json" id="settings">${json({ examples, headers }).replaceAll('<', '\\u003c')}</script>
    ${scripts.map(({ path }) => `<script src="${path}"></script>`).join('\n    ')}
  </body>
</html>
`;
}

const json = (value: unknown) => JSON.stringify(value, null, 2);
