import { setTimeout as delay } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import { endingRequests } from './ended-requests.js';
import { type Agents, openAgents, type Proxy } from './media.js';
import { NoAnswerError, isTransient, storageError } from './storage-error.js';

export interface GcsOptions {
  /** An emulator's or another endpoint's origin; default `https://storage.googleapis.com`. */
  readonly endpoint?: string;
  readonly projectId?: string;
  /** Through which bytes are read. All other calls find theirs in the environment, as Google's clients do. */
  readonly proxy?: Proxy;
}

export interface CallLimits {
  /** For the answer with all its retries. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Default 3. */
  readonly attempts?: number;
}

const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;

/**
 * `@google-cloud/storage` with application default credentials (sent over TLS only, so none to an emulator), and what
 * it lacks: a limit in time, and an end when it is not wanted any more. It repeats nothing by itself, because it waits
 * two seconds and more, knows no limit but its own, and keeps "may this be repeated?" in one variable for all calls
 * that run at the same time.
 */
export class GcsClient {
  private readonly storage: Storage;
  private readonly host: string;
  /** For bytes. */
  readonly agents: Agents;

  constructor({ endpoint = 'https://storage.googleapis.com', projectId, proxy }: GcsOptions) {
    this.agents = openAgents(proxy);
    const { protocol, hostname, origin } = new URL(endpoint);
    this.host = hostname.replace(/^\[|\]$/g, '');
    this.storage = new Storage({
      projectId,
      apiEndpoint: endpoint,
      useAuthWithCustomEndpoint: protocol === 'https:',
      retryOptions: { autoRetry: false },
    });
    if (new URL(this.storage.baseUrl).origin !== origin) {
      throw new Error('STORAGE_EMULATOR_HOST overrules the endpoint that is configured: unset it');
    }
    this.storage.interceptors.push({
      request: (options) => ({
        ...options,
        uri: 'uri' in options ? options.uri : options.url,
        // Node's own agent: the client's pool is destroyed, with all its connections, by each read that is given up.
        forever: false,
      }),
    });
  }

  /**
   * What `attempt` gives, tried again after failures in passing. Throws what {@link storageError} makes of a failure, or
   * the signal's reason; by then the attempt's requests are over. After an answer neither limit nor signal matters.
   */
  async call<T>(limits: CallLimits, attempt: (storage: Storage) => Promise<T>): Promise<T> {
    const { timeoutMs, signal, attempts = ATTEMPTS } = limits;
    signal?.throwIfAborted();
    const ending = new AbortController();
    const tooLate = () => ending.abort(new NoAnswerError('Storage did not answer in time'));
    const forward = () => ending.abort(signal?.reason);
    const timer = setTimeout(tooLate, timeoutMs);
    signal?.addEventListener('abort', forward, { once: true });
    // Not every wait is for a request of ours: fetching an access token can hang as well.
    const ended = new Promise<never>((_, reject) =>
      ending.signal.addEventListener('abort', () => reject(ending.signal.reason as Error), { once: true }),
    );
    try {
      return await Promise.race([
        ended,
        endingRequests({ host: this.host, signal: ending.signal }, () =>
          repeated(() => attempt(this.storage), attempts, ending.signal),
        ),
      ]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', forward);
    }
  }
}

async function repeated<T>(attempt: () => Promise<T>, attempts: number, signal: AbortSignal): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (thrown) {
      const error = storageError(thrown);
      if (count === attempts || !isTransient(error)) throw error;
    }
    await delay(FIRST_DELAY_MS * 2 ** (count - 1) * (0.5 + Math.random()), undefined, { signal });
  }
}
