import { ApiError } from '../http/errors.js';
import type { Exchange, Reply } from '../http/exchange.js';
import { integerOf } from '../http/preconditions.js';
import type { ObjectKey, StoredObject } from '../store/objects.js';
import type { Session } from '../store/sessions.js';
import type { Store } from '../store/store.js';
import { parseDigestHeaders } from '../uploads.js';
import { parseContentRange } from './content-range.js';
import type { ResumableUploads } from './resumable-uploads.js';

/** The base URL under which the client reached the emulator; it may differ from the emulator's own. */
export function hostUrl(exchange: Exchange, store: Store): string {
  const host = exchange.header('host');
  return host === undefined ? store.baseUrl() : `http://${host}`;
}

/**
 * Returns the session that a request names.
 * @throws {ApiError} noSuchUpload when the session belongs to another API, bucket or object
 */
export function findSession(
  uploads: ResumableUploads,
  exchange: Exchange,
  api: Session['api'],
  { bucket, name }: Partial<ObjectKey>,
): Session {
  const session = uploads.get(exchange.query.get('upload_id') ?? '');
  const { key } = session.upload;
  const matches = session.api === api && key.bucket === bucket && (name === undefined || key.name === name);
  if (!matches) throw new ApiError('noSuchUpload');
  return session;
}

/** Handles a request on a session. The session's id is the only credential that a request needs. */
export async function answerSession(
  uploads: ResumableUploads,
  { id }: Session,
  exchange: Exchange,
  render: (object: StoredObject) => Reply,
): Promise<Reply> {
  if (exchange.method === 'DELETE') {
    await uploads.cancel(id);
    return { status: 499, headers: { 'Content-Length': '0' } };
  }
  if (exchange.method !== 'PUT' && exchange.method !== 'POST') throw new ApiError('methodNotAllowed');
  const outcome = await uploads.put(id, {
    range: parseContentRange(exchange.header('content-range')),
    length: integerOf((name) => exchange.header(name), 'content-length'),
    digests: parseDigestHeaders(exchange),
    body: () => exchange.body(),
    // A request that has arrived completely is still answered.
    interrupt: () => void (exchange.request.complete || exchange.request.destroy()),
  });
  if (outcome.kind === 'finished') return render(outcome.object);
  if (outcome.kind === 'incomplete') return incomplete(outcome.stored, exchange);
  const headers = { 'Content-Type': 'text/plain; charset=utf-8' };
  return { status: outcome.status, headers, body: outcome.message };
}

function incomplete(stored: number, exchange: Exchange): Reply {
  const headers: Record<string, string> = { 'Content-Length': '0' };
  if (stored > 0) headers.Range = `bytes=0-${stored - 1}`;
  // Requested by clients whose HTTP library treats 308 as a redirect.
  if (exchange.header('x-guploader-no-308') !== 'yes') return { status: 308, headers };
  return { status: 200, headers: { ...headers, 'X-Http-Status-Code-Override': '308' } };
}
