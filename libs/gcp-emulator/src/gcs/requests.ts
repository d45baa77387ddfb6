import { corsHeaders, preflight } from './http/cors.js';
import { ApiError } from './http/errors.js';
import type { Exchange, Reply } from './http/exchange.js';
import { decodePath, findRoute, type Route } from './http/router.js';
import { bucketRoutes } from './json/buckets.js';
import { notificationRoutes } from './json/notifications.js';
import { downloadRoutes, objectRoutes } from './json/objects.js';
import { uploadRoutes } from './json/uploads.js';
import type { ObjectKey } from './store/objects.js';
import type { Store } from './store/store.js';
import { handleXml } from './xml/objects.js';
import type { V4Verifier } from './xml/v4-verifier.js';

const below = (base: string, routes: Route[]): Route[] =>
  routes.map((route) => ({ ...route, path: base + route.path }));

/** The JSON API, also without its prefix, as the client asks for it when it is told of an emulator by the environment. */
function jsonRoutes(store: Store): Route[] {
  const api = [...bucketRoutes(store), ...objectRoutes(store), ...notificationRoutes(store)];
  return [
    ...below('/storage/v1', api),
    ...below('/download/storage/v1', downloadRoutes(store)),
    ...below('/upload/storage/v1', uploadRoutes(store)),
    ...api,
  ];
}

/** No bucket can be called `b`, and the JSON API's other prefixes are taken to be meant. */
const JSON_PATHS = /^\/(b|storage\/v1|download\/storage\/v1|upload\/storage\/v1)(\/|$)/;

/** `/BUCKET/NAME`: the name is everything behind the second slash. */
function keyOf(rawPath: string): ObjectKey {
  const slash = rawPath.indexOf('/', 1);
  if (slash < 0) return { bucket: decodePath(rawPath.slice(1)), name: '' };
  return { bucket: decodePath(rawPath.slice(1, slash)), name: decodePath(rawPath.slice(slash + 1)) };
}

async function xmlReply(store: Store, verifier: V4Verifier, exchange: Exchange): Promise<Reply> {
  const key = keyOf(exchange.rawPath);
  const cors = store.buckets.find(key.bucket)?.settings.cors ?? [];
  if (exchange.method === 'OPTIONS') return preflight(cors, exchange);
  // Set before anything can be refused: a page may read the refusal too.
  for (const [name, value] of Object.entries(corsHeaders(cors, exchange)))
    exchange.response.setHeader(name, value);
  const { method, rawPath, rawQuery } = exchange;
  const request = { method, rawPath, rawQuery, headers: exchange.headerPairs() };
  const verified = verifier.verify(request, store.now());
  return handleXml({ store, exchange, key, verified });
}

/** Finds out which API a request is for and has it answered. */
export function requestHandler(store: Store, verifier: V4Verifier): (exchange: Exchange) => Promise<Reply> {
  const routes = jsonRoutes(store);
  return async (exchange) => {
    exchange.isXml = !JSON_PATHS.test(exchange.rawPath);
    if (exchange.isXml) return xmlReply(store, verifier, exchange);
    const handler = findRoute(routes, exchange);
    if (handler === undefined) throw new ApiError('notFound');
    return handler(exchange);
  };
}
