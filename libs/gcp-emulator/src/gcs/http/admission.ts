import { sourceCheck } from '#libs/domain';
import { ApiError } from './errors.js';
import type { Exchange } from './exchange.js';

/** The path of the JSON API's sessions of resumable uploads. */
const UPLOADS = /^\/upload\/storage\/v1\//;

/** Whoever has the URL of a session may use it, a page too: the handler looks for the session and for nothing else. */
const namesSession = ({ rawPath, query }: Exchange) => UPLOADS.test(rawPath) && query.has('upload_id');

/**
 * A program may start a session for a page, and names the page in Origin: the `origin` option of the official clients. Browsers send
 * the clients' own header only after a preflight, which is answered for sessions that are there already and nothing else.
 */
const startsSessionForPage = (exchange: Exchange) =>
  UPLOADS.test(exchange.rawPath) &&
  exchange.query.get('uploadType') === 'resumable' &&
  exchange.header('x-goog-api-client') !== undefined &&
  exchange.header('sec-fetch-site') === undefined;

/**
 * Refuses requests under other names than these, and what a page sends without a signature or the URL of a session. The XML API
 * serves nothing else, so pages may send it anything; the bucket's CORS settings say which of them may read the answer.
 * @param hosts values of Host
 * @returns a function that throws ApiError accessDenied
 */
export function admissionCheck(hosts: readonly string[]): (exchange: Exchange) => void {
  const refusalOf = sourceCheck({ hosts });
  return (exchange) => {
    const refusal = refusalOf(exchange.request);
    if (refusal === null) return;
    const isPage = refusal.reason === 'ORIGIN_NOT_ALLOWED';
    if (isPage && (exchange.isXml || namesSession(exchange) || startsSessionForPage(exchange))) return;
    throw new ApiError('accessDenied', { message: refusal.message });
  };
}
