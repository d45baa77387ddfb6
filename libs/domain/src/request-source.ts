/** The parts of a request that tell where it comes from: header names in lower case, as Node.js gives them. */
export interface SourcedRequest {
  readonly method?: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** The requests that a listener serves. */
export interface RequestSources {
  /** Values of the Host header, `name` or `name:port`. */
  readonly hosts: readonly string[];
  /** Origins whose pages may send requests; `*` stands for all. Default: none. */
  readonly origins?: readonly string[];
  /** Whether the listener serves pages of its own, which may send it requests. Default: false. */
  readonly hasPages?: boolean;
}

export interface SourceRefusal {
  readonly reason: 'HOST_NOT_ALLOWED' | 'ORIGIN_NOT_ALLOWED';
  /** For the caller. */
  readonly message: string;
}

const HOST_NOT_ALLOWED: SourceRefusal = {
  reason: 'HOST_NOT_ALLOWED',
  message: 'This is not the name of this server.',
};
const ORIGIN_NOT_ALLOWED: SourceRefusal = {
  reason: 'ORIGIN_NOT_ALLOWED',
  message: 'Pages of this origin may not send requests to this server.',
};

/** Values of Host for a listener that only programs on the same machine reach. */
export const loopbackHosts = (port: number): string[] =>
  ['127.0.0.1', 'localhost', '[::1]'].map((name) => `${name}:${port}`);

/** Clients leave out a port that is the scheme's default. */
const withoutDefaultPort = (host: string): string => host.toLowerCase().replace(/:(80|443)$/, '');

const textOf = (value: string | readonly string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.join(', ');

/** A link or an address that a person opens in a window of its own: https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header */
function isNavigation({ method = '', headers }: SourcedRequest): boolean {
  const isDocument = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return isDocument && ['GET', 'HEAD'].includes(method);
}

/**
 * Decides by Host, Origin and Sec-Fetch-Site whether a listener serves a request. A page on another origin can point its own
 * name at this address (DNS rebinding) and can send simple requests without a preflight, but the browser sets these three headers
 * and no script can change them. Programs send neither Origin nor Sec-Fetch-Site, and pass when their Host is listed.
 * @returns a function that returns the reason for a refusal, or null for a request that is served
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
    // `none`: a person typed the address.
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
