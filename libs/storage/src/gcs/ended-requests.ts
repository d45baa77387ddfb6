import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

interface Scope {
  readonly host: string;
  readonly signal: AbortSignal;
}
const scopes = new AsyncLocalStorage<Scope>();

subscribe('http.client.request.created', (message) => {
  const scope = scopes.getStore();
  const { request } = message as { request: ClientRequest };
  if (scope === undefined || request.host !== scope.host) return;
  const { signal } = scope;
  const end = () => request.destroy();
  if (signal.aborted) return end();
  signal.addEventListener('abort', end, { once: true });
  request.once('close', () => signal.removeEventListener('abort', end));
});

/**
 * Runs `work` and destroys the HTTP requests to `host` that it makes, with their connections, when `signal` aborts.
 * `@google-cloud/storage` 8.4.0 accepts no signal and drops a timeout before its transport. Requests to other hosts
 * continue: several calls may be waiting for one access token.
 * @see https://nodejs.org/api/diagnostics_channel.html#http
 */
export const abortingRequests = <T>(scope: Scope, work: () => T): T => scopes.run(scope, work);
