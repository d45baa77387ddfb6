import { ApiError } from './errors.js';
import type { Exchange, Reply } from './exchange.js';

export type Handler = (exchange: Exchange) => Reply | Promise<Reply>;

/** One entry of the route table. The handler gets the `:name` segments of the path decoded. */
export interface Route {
  method: string;
  path: string;
  handler: Handler;
}

export function decodePath(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ApiError('invalidUri');
  }
}

function matchTemplate(template: string[], segments: string[]): Record<string, string> | undefined {
  if (template.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [i, part] of template.entries()) {
    const segment = segments[i] ?? '';
    if (part.startsWith(':')) {
      if (segment === '') return undefined;
      params[part.slice(1)] = decodePath(segment);
    } else if (part !== segment) {
      return undefined;
    }
  }
  return params;
}

/**
 * Finds the route of a request and stores the path parameters in the exchange. HEAD uses the route of GET. Returns
 * undefined when no route has the path.
 * @throws {ApiError} methodNotAllowed when a route has the path but not the method
 */
export function findRoute(routes: readonly Route[], exchange: Exchange): Handler | undefined {
  const segments = exchange.rawPath.split('/');
  const method = exchange.method === 'HEAD' ? 'GET' : exchange.method;
  let known = false;
  for (const route of routes) {
    const params = matchTemplate(route.path.split('/'), segments);
    if (params === undefined) continue;
    known = true;
    if (route.method !== method) continue;
    exchange.params = params;
    return route.handler;
  }
  if (known) throw new ApiError('methodNotAllowed');
  return undefined;
}
