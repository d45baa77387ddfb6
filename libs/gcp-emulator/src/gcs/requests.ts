import { ADMIN_PREFIX } from './admin.js';
import type { Faults } from './faults/faults.js';
import { injectFault } from './faults/inject.js';
import type { admissionCheck } from './http/admission.js';
import { corsHeaders, preflight } from './http/cors.js';
import { ApiError } from './http/errors.js';
import type { Exchange, Reply } from './http/exchange.js';
import { decodePath, findRoute, type Handler, type Route } from './http/router.js';
import { bucketRoutes } from './json/buckets.js';
import { notificationRoutes } from './json/notifications.js';
import { downloadRoutes, objectRoutes } from './json/objects.js';
import { uploadRoutes } from './json/uploads.js';
import type { ResumableUploads } from './resumable/resumable-uploads.js';
import type { ObjectKey } from './store/objects.js';
import type { Store } from './store/store.js';
import { handleXml } from './xml/objects.js';
import { answerXmlSession } from './xml/uploads.js';
import type { V4Verifier } from './xml/v4-verifier.js';

/** Dependencies of the request handler. */
export interface Services {
  store: Store;
  uploads: ResumableUploads;
  verifier: V4Verifier;
  faults: Faults;
  /** Throws when the request's host or origin is not allowed. */
  admit: ReturnType<typeof admissionCheck>;
  /** Handles requests below `/_emulator/`; undefined when the admin API is off. */
  admin: Handler | undefined;
}

const below = (base: string, routes: Route[]): Route[] =>
  routes.map((route) => ({ ...route, path: base + route.path }));

/** Routes of the JSON API. The client leaves out the prefix when an environment variable names the emulator. */
function jsonRoutes({ store, uploads }: Services): Route[] {
  const api = [...bucketRoutes(store), ...objectRoutes(store), ...notificationRoutes(store)];
  return [
    ...below('/storage/v1', api),
    ...below('/download/storage/v1', downloadRoutes(store)),
    ...below('/upload/storage/v1', uploadRoutes(store, uploads)),
    ...api,
  ];
}

/** Paths of the JSON API. The name `b` is too short for a bucket, and the other prefixes always mean the JSON API. */
const JSON_PATHS = /^\/(b|storage\/v1|download\/storage\/v1|upload\/storage\/v1)(\/|$)/;

/** Splits `/BUCKET/NAME`. The name is everything after the second slash. */
function keyOf(rawPath: string): ObjectKey {
  const slash = rawPath.indexOf('/', 1);
  if (slash < 0) return { bucket: decodePath(rawPath.slice(1)), name: '' };
  return { bucket: decodePath(rawPath.slice(1, slash)), name: decodePath(rawPath.slice(slash + 1)) };
}

/** The object, or only the bucket, that a JSON API request names. */
function jsonKeyOf({ rawPath, query }: Exchange): ObjectKey {
  const [, bucket = '', name] = /\/b\/([^/]+)(?:\/o\/([^/]+))?/.exec(rawPath) ?? [];
  return {
    bucket: decodePath(bucket),
    name: name === undefined ? (query.get('name') ?? '') : decodePath(name),
  };
}

async function xmlReply({ store, uploads, verifier, faults }: Services, exchange: Exchange): Promise<Reply> {
  const key = keyOf(exchange.rawPath);
  const cors = store.buckets.find(key.bucket)?.settings.cors ?? [];
  if (exchange.method === 'OPTIONS') return preflight(cors, exchange);
  // Set before the request can be rejected, so that a web page can read the error.
  for (const [name, value] of Object.entries(corsHeaders(cors, exchange)))
    exchange.response.setHeader(name, value);
  if (!faults.isEmpty) await injectFault(faults, exchange, key);
  if (exchange.query.has('upload_id')) return answerXmlSession(uploads, exchange, key);
  const { method, rawPath, rawQuery } = exchange;
  const request = { method, rawPath, rawQuery, headers: exchange.headerPairs() };
  const verified = verifier.verify(request, store.now());
  return handleXml({ store, uploads, exchange, key, verified });
}

/** Returns the handler that dispatches a request to the admin, XML or JSON API. */
export function requestHandler(services: Services): (exchange: Exchange) => Promise<Reply> {
  const routes = jsonRoutes(services);
  const { admin, admit, faults } = services;
  return async (exchange) => {
    const isAdmin = admin !== undefined && exchange.rawPath.startsWith(ADMIN_PREFIX);
    exchange.isXml = !isAdmin && !JSON_PATHS.test(exchange.rawPath);
    admit(exchange);
    if (isAdmin) return admin(exchange);
    if (exchange.isXml) return xmlReply(services, exchange);
    if (!faults.isEmpty) await injectFault(faults, exchange, jsonKeyOf(exchange));
    const handler = findRoute(routes, exchange);
    if (handler === undefined) throw new ApiError('notFound');
    return handler(exchange);
  };
}
