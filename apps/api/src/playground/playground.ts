import type { FastifyInstance } from 'fastify';
import { type PageAsset, readPageAssets } from './assets.js';
import { EXAMPLES } from './examples.js';

export interface PlaygroundOptions {
  /** Put into the page for whoever opens it. Only for a stack that nobody but its owner can reach. */
  readonly token?: string;
}

/**
 * Only what this server itself serves may be loaded, and nobody may frame the page. GraphiQL's fonts are data: URLs; its
 * dialogs add style elements, whose content depends on the browser, hence `unsafe-inline` for styles alone.
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

/** GraphiQL for browsers that open /graphql; it loads nothing from any other host. Programs notice nothing. */
export function servePlayground(server: FastifyInstance, options: PlaygroundOptions): void {
  const { styles, scripts } = readPageAssets();
  const page = pageOf(styles, scripts, options);
  // A hook, because the route is Apollo's.
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

function pageOf(styles: PageAsset[], scripts: PageAsset[], { token }: PlaygroundOptions): string {
  const headers = token === undefined ? undefined : json({ Authorization: `Bearer ${token}` });
  const tabs = EXAMPLES.map(({ query, variables }) => ({ query, variables: variables && json(variables) }));
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
    <script type="application/json" id="settings">${json({ tabs, headers }).replaceAll('<', '\\u003c')}</script>
    ${scripts.map(({ path }) => `<script src="${path}"></script>`).join('\n    ')}
  </body>
</html>
`;
}

const json = (value: unknown) => JSON.stringify(value, null, 2);
