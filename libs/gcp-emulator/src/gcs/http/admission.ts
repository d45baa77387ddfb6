import { sourceCheck } from '#libs/domain';
import { ApiError } from './errors.js';
import type { Exchange } from './exchange.js';

/** The path of the JSON API's sessions of resumable uploads. */
const UPLOADS = /^\/upload\/storage\/v1\//;

/** A session URL is a secret that also authorizes web pages; its handler gives access to that session alone. */
const namesSession = ({ rawPath, query }: Exchange) => UPLOADS.test(rawPath) && query.has('upload_id');

/**
 * A program may start a session for a web page and names the page in Origin: the `origin` option of the official
 * clients. Browsers send the clients' own header only after a preflight, which is answered for existing sessions alone.
 */
const startsSessionForPage = (exchange: Exchange) =>
  UPLOADS.test(exchange.rawPath) &&
  exchange.query.get('uploadType') === 'resumable' &&
  exchange.header('x-goog-api-client') !== undefined &&
  exchange.header('sec-fetch-site') === undefined;

/**
 * Rejects requests with another Host, and web pages' requests without a signature or a session URL. The XML API accepts
 * only those two, so pages may send it anything; the bucket's CORS settings decide which page may read the response.
 * @param hosts allowed values of Host
 * @returns a check that throws {@link ApiError} accessDenied
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
