/** The parts of a request that identify its source; header names in lower case, as in Node.js. */
export interface SourcedRequest {
  readonly method?: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** The sources from which a listener accepts requests. */
export interface RequestSources {
  /** Accepted values of the Host header, `name` or `name:port`. */
  readonly hosts: readonly string[];
  /** Origins whose pages may send requests; `*` allows every origin. Default: none. */
  readonly origins?: readonly string[];
  /** Whether the listener serves pages that may send requests to it. Default: false. */
  readonly hasPages?: boolean;
}

/** Reason and message of a rejected request. */
export interface SourceRefusal {
  readonly reason: 'HOST_NOT_ALLOWED' | 'ORIGIN_NOT_ALLOWED';
  /** Message for the client. */
  readonly message: string;
}

const HOST_NOT_ALLOWED: SourceRefusal = {
  reason: 'HOST_NOT_ALLOWED',
  message: 'The Host header does not name this server.',
};
const ORIGIN_NOT_ALLOWED: SourceRefusal = {
  reason: 'ORIGIN_NOT_ALLOWED',
  message: 'Pages of this origin may not send requests to this server.',
};

/** Host values of a listener that only programs on the same machine use. */
export const loopbackHosts = (port: number): string[] =>
  ['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`);

/** Removes the port if it is a scheme's default, because clients omit that port. */
const withoutDefaultPort = (host: string): string => host.toLowerCase().replace(/:(80|443)$/, '');

const textOf = (value: string | readonly string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.join(', ');

/**
 * Whether the request is a top-level navigation by link or address:
 * https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header
 */
function isNavigation({ method = '', headers }: SourcedRequest): boolean {
  const isDocument = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return isDocument && ['GET', 'HEAD'].includes(method);
}

/**
 * Creates a check that decides by Host, Origin and Sec-Fetch-Site whether a listener serves a request. A page of
 * another origin can resolve its own host name to this address (DNS rebinding) and can send simple requests without a
 * preflight, but the browser sets these three headers and scripts cannot change them. Programs send neither Origin nor
 * Sec-Fetch-Site and are accepted if their Host is listed.
 * @returns a function that returns the reason for a refusal, or null for an accepted request
 */
export function sourceCheck({
  hosts,
  origins = [],
  hasPages = false,
}: RequestSources): (request: SourcedRequest) => SourceRefusal | null {
  const allowedHosts = new Set(hosts.map(withoutDefaultPort));
  const allowedOrigins = new Set(origins.map((origin) => origin.toLowerCase()));

  const isAllowedPage = (origin: string, host: string, site: string | undefined): boolean => {
    if (allowedOrigins.has('*') || allowedOrigins.has(origin)) return true;
    if (!hasPages || !['same-origin', 'none', undefined].includes(site)) return false;
    const [, authority] = /^https?:\/\/([^/]+)$/.exec(origin) ?? [];
    return authority !== undefined && withoutDefaultPort(authority) === host;
  };

  const isAllowedSite = (site: string | undefined, request: SourcedRequest): boolean => {
    // `none`: the user typed the address.
    if (site === undefined || site === 'none') return true;
    return hasPages && (site === 'same-origin' || isNavigation(request));
  };

  return (request) => {
    const { headers } = request;
    const host = withoutDefaultPort(textOf(headers.host) ?? '');
    if (!allowedHosts.has(host)) return HOST_NOT_ALLOWED;
    const origin = textOf(headers.origin)?.toLowerCase();
    const site = textOf(headers['sec-fetch-site']);
    const isAllowed = origin === undefined ? isAllowedSite(site, request) : isAllowedPage(origin, host, site);
    return isAllowed ? null : ORIGIN_NOT_ALLOWED;
  };
}
