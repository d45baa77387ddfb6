import type { Exchange, Reply } from '../http/exchange.js';
import { jsonReply } from '../http/exchange.js';
import { integerOf } from '../http/preconditions.js';
import { objectResource } from '../resources.js';
import type { ResumableUploads } from '../resumable/resumable-uploads.js';
import { answerSession, findSession, hostUrl } from '../resumable/session-requests.js';
import type { StoredObject } from '../store/objects.js';
import type { Store } from '../store/store.js';
import type { Upload } from '../uploads.js';

const ALLOWED_METHODS = 'PUT, POST, DELETE';

/**
 * Lets the web page that a session was started for use the session. The bucket's CORS settings do not matter here:
 * they apply to the XML API.
 */
function allowOrigin(exchange: Exchange, origin: string | undefined): void {
  if (origin === undefined || exchange.header('origin') !== origin) return;
  const { response } = exchange;
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader(
    'Access-Control-Expose-Headers',
    'Location, Range, Content-Length, X-Http-Status-Code-Override',
  );
  response.appendHeader('Vary', 'Origin');
}

function preflight(exchange: Exchange): Reply {
  const headers = {
    'Access-Control-Allow-Methods': ALLOWED_METHODS,
    'Access-Control-Allow-Headers': exchange.header('access-control-request-headers') ?? '',
    'Access-Control-Max-Age': '3600',
    'Content-Length': '0',
  };
  return { status: 200, headers };
}

/** Starts a session. Headers of their own announce the type and length of the upload. */
export function startJsonSession(
  store: Store,
  uploads: ResumableUploads,
  exchange: Exchange,
  upload: Upload,
): Reply {
  const total = integerOf((name) => exchange.header(name), 'x-upload-content-length');
  const origin = exchange.header('origin');
  const id = uploads.start({ api: 'json', origin, upload, total });
  allowOrigin(exchange, origin);
  const { bucket, name } = upload.key;
  const query = new URLSearchParams({ uploadType: 'resumable', name, upload_id: id }).toString();
  const path = `/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`;
  return {
    status: 200,
    headers: { Location: `${hostUrl(exchange, store)}${path}?${query}`, 'Content-Length': '0' },
  };
}

/** Handles a request on a session: bytes, a progress query, a cancellation or a preflight. */
export async function answerJsonSession(
  store: Store,
  uploads: ResumableUploads,
  exchange: Exchange,
): Promise<Reply> {
  // Set before the request can be rejected, so that a web page can read that its session has ended.
  allowOrigin(exchange, store.sessions.find(exchange.query.get('upload_id') ?? '')?.origin);
  const session = findSession(uploads, exchange, 'json', { bucket: exchange.param('bucket') });
  if (exchange.method === 'OPTIONS') return preflight(exchange);
  const render = (object: StoredObject) => jsonReply(objectResource(object, store.baseUrl()));
  return answerSession(uploads, session, exchange, render);
}
