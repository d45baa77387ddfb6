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

/** A page may use a session that was started for it, whatever the bucket's CORS settings say: those are the XML API's. */
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

/** Starts a session. The type and length of what is to come are in headers of their own. */
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

export async function answerJsonSession(
  store: Store,
  uploads: ResumableUploads,
  exchange: Exchange,
): Promise<Reply> {
  // Before anything can be refused: a page may read that its session is over.
  allowOrigin(exchange, store.sessions.find(exchange.query.get('upload_id') ?? '')?.origin);
  const session = findSession(uploads, exchange, 'json', { bucket: exchange.param('bucket') });
  if (exchange.method === 'OPTIONS') return preflight(exchange);
  const render = (object: StoredObject) => jsonReply(objectResource(object, store.baseUrl()));
  return answerSession(uploads, session, exchange, render);
}
