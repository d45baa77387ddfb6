import type { Exchange, Reply } from './exchange.js';

/** One entry of a bucket's `cors` setting. https://docs.cloud.google.com/storage/docs/cross-origin */
export interface CorsRule {
  origin?: string[];
  method?: string[];
  responseHeader?: string[];
  maxAgeSeconds?: number;
}

const allowsOrigin = (rule: CorsRule, origin: string) =>
  (rule.origin ?? []).some((allowed) => allowed === '*' || allowed.toLowerCase() === origin.toLowerCase());

const allowsMethod = (rule: CorsRule, method: string) =>
  (rule.method ?? []).some((allowed) => allowed === '*' || allowed.toUpperCase() === method);

/** An allowed header may end in `*`, as in `x-goog-meta-*`. */
const allowsHeader = (rule: CorsRule, header: string) =>
  (rule.responseHeader ?? []).some((allowed) => {
    const name = allowed.toLowerCase();
    return name.endsWith('*') ? header.startsWith(name.slice(0, -1)) : name === header;
  });

const allowedOrigin = (rule: CorsRule, origin: string) => (rule.origin?.includes('*') ? '*' : origin);

const list = (header: string | undefined) =>
  (header ?? '')
    .split(',')
    .map((part) => part.trim().toLowerCase())
    .filter((part) => part !== '');

/** CORS headers of an actual response, successful or not, to a web page of another origin. */
export function corsHeaders(rules: readonly CorsRule[], exchange: Exchange): Record<string, string> {
  const origin = exchange.header('origin');
  if (rules.length === 0) return {};
  const rule = origin && rules.find((r) => allowsOrigin(r, origin) && allowsMethod(r, exchange.method));
  if (!rule) return { Vary: 'Origin' };
  return {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': allowedOrigin(rule, origin),
    ...(rule.responseHeader?.length && { 'Access-Control-Expose-Headers': rule.responseHeader.join(', ') }),
  };
}

/** Answers a preflight, always with 200. A request that is not allowed gets no CORS headers. */
export function preflight(rules: readonly CorsRule[], exchange: Exchange): Reply {
  const origin = exchange.header('origin') ?? '';
  const method = (exchange.header('access-control-request-method') ?? '').toUpperCase();
  const wanted = list(exchange.header('access-control-request-headers'));
  const rule = rules.find(
    (r) => allowsOrigin(r, origin) && allowsMethod(r, method) && wanted.every((h) => allowsHeader(r, h)),
  );
  if (!rule) return { status: 200, headers: { Vary: 'Origin', 'Content-Length': '0' } };
  return {
    status: 200,
    headers: {
      Vary: 'Origin',
      'Content-Length': '0',
      'Access-Control-Allow-Origin': allowedOrigin(rule, origin),
      'Access-Control-Allow-Methods': (rule.method ?? []).join(', '),
      ...(wanted.length > 0 && { 'Access-Control-Allow-Headers': wanted.join(', ') }),
      'Access-Control-Max-Age': String(rule.maxAgeSeconds ?? 3600),
    },
  };
}
