/**
 * Serves this folder to browsers, with a token for the embedded stack. A real page gets the token of its user from its
 * sign-in.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { signToken } from '../../apps/local/src/token.ts';
import { run, UsageError } from '../../scripts/command.ts';
import { localStack } from '../../scripts/stack.ts';

const HELP = `
Usage: npm run example [-- --port 3005]

Serves a web page that uploads from the browser to the embedded stack, which must be running (npm start).

  --port PORT           port of the page; default: the stack's port + 5, which the stack allows

Uses the stack that runs from this checkout. If several run, set PORT or DATA_DIR.
`;
/** The embedded stack allows pages on this port to call the API (CORS_ORIGINS). */
const PORT_OFFSET = 5;
const LOOPBACK = '127.0.0.1';
const TOKEN_LIFE = '1h';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.js': 'text/javascript; charset=utf-8',
};
const OWN_FILES = [
  'index.html',
  'icon.svg',
  'style.css',
  'main.js',
  'row.js',
  'upload.js',
  'records.js',
  'storage.js',
  'api.js',
  'graphql.js',
  'subscriptions.js',
  'settled.js',
  'texts.js',
  'retry.js',
  'hash.js',
  'hash-worker.js',
];
/** Paths and their files. No other file is served. */
const FILES = new Map([
  ...OWN_FILES.map((name) => [`/${name}`, path.join(import.meta.dirname, name)] as const),
  ['/', path.join(import.meta.dirname, 'index.html')],
  ['/hash-wasm.js', createRequire(import.meta.url).resolve('hash-wasm/dist/index.esm.min.js')],
]);

await run(HELP, async () => {
  const { values } = parseArgs({ options: { port: { type: 'string' } } });
  const {
    port: apiPort,
    secrets: { jwtSecret },
  } = await localStack();
  const port = values.port === undefined ? apiPort + PORT_OFFSET : portOf('--port', values.port);
  const settings = async () => ({
    api: `http://${LOOPBACK}:${apiPort}/graphql`,
    token: await signToken(jwtSecret, { subject: '1', expiresIn: TOKEN_LIFE }),
  });
  const headers = securityHeaders(apiPort);
  const hosts = new Set([`${LOOPBACK}:${port}`, `localhost:${port}`]);

  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    answer(request, response, hosts, settings).catch((error: unknown) => {
      console.error(error);
      response.writeHead(500).end();
    });
  });
  server.listen(port, LOOPBACK);
  await once(server, 'listening');
  console.log(`Example  http://${LOOPBACK}:${port}/`);
});

function portOf(name: string, text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UsageError(`${name} must be a number from 1 to 65535, not ${text}`);
  }
  return port;
}

/** The page may load files from here, and connect to the API and to storage. Hashing compiles WebAssembly. */
function securityHeaders(apiPort: number): Record<string, string> {
  const api = `${LOOPBACK}:${apiPort}`;
  const storage = `http://${LOOPBACK}:${apiPort + 1}`;
  const policy = [
    `default-src 'none'`,
    `script-src 'self' 'wasm-unsafe-eval'`,
    `worker-src 'self'`,
    `style-src 'self'`,
    `img-src 'self' ${storage}`,
    `connect-src 'self' http://${api} ws://${api} ${storage}`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ];
  return {
    'content-security-policy': policy.join('; '),
    'cross-origin-resource-policy': 'same-origin',
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  };
}

async function answer(
  { method, url = '/', headers }: IncomingMessage,
  response: ServerResponse,
  hosts: ReadonlySet<string>,
  settings: () => Promise<object>,
): Promise<void> {
  // Another site can make its own name resolve to this address (DNS rebinding), and would get the token.
  if (!hosts.has(headers.host?.toLowerCase() ?? '')) {
    response.writeHead(403).end();
    return;
  }
  const name = url.split('?', 1)[0] ?? '/';
  const file = FILES.get(name);
  if (method !== 'GET' || (file === undefined && name !== '/settings.json')) {
    response.writeHead(method === 'GET' ? 404 : 405).end();
  } else if (file === undefined) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(await settings()));
  } else {
    response.writeHead(200, { 'content-type': TYPES[path.extname(file)] }).end(await readFile(file));
  }
}
