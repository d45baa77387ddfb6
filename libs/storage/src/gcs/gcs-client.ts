import { setTimeout as delay } from 'node:timers/promises';
import { Storage } from '@google-cloud/storage';
import { abortingRequests } from './ended-requests.js';
import { type Agents, openAgents, type Proxy } from './media.js';
import { NoAnswerError, isTransient, storageError } from './storage-error.js';

/** Connection options of the Google Cloud Storage adapters. */
export interface GcsOptions {
  /** Origin of the endpoint, e.g. of an emulator; default `https://storage.googleapis.com`. */
  readonly endpoint?: string;
  readonly projectId?: string;
  /** Proxy for object downloads. All other calls use the proxy of the environment, as Google's clients do. */
  readonly proxy?: Proxy;
}

export interface CallLimits {
  /** Limit for the whole call, retries included, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Maximum number of attempts; default 3. */
  readonly attempts?: number;
}

const ATTEMPTS = 3;
const FIRST_DELAY_MS = 250;

/**
 * `@google-cloud/storage` with application default credentials (sent over TLS only, so never to an emulator), plus a
 * timeout, cancellation and retries. The official client's own retries are off: they wait two seconds and more, honour
 * no other limit, and keep the retry decision in one variable that all concurrent calls share.
 */
export class GcsClient {
  private readonly storage: Storage;
  private readonly host: string;
  /** Connection pools for object downloads and upload sessions. */
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
      throw new Error('STORAGE_EMULATOR_HOST overrides the configured endpoint: unset it');
    }
    this.storage.interceptors.push({
      request: (options) => ({
        ...options,
        uri: 'uri' in options ? options.uri : options.url,
        // Disables the client's connection pool: each abandoned read destroys the pool with all its connections.
        forever: false,
      }),
    });
  }

  /**
   * Runs `attempt`, retrying transient failures with backoff. The attempt's requests are destroyed before this method
   * rejects; after it resolves, neither limit nor signal has an effect.
   * @throws the error mapped by {@link storageError}, or the signal's reason
   */
  async call<T>(limits: CallLimits, attempt: (storage: Storage) => Promise<T>): Promise<T> {
    const { timeoutMs, signal, attempts = ATTEMPTS } = limits;
    signal?.throwIfAborted();
    const controller = new AbortController();
    // The race is needed because an attempt may also hang outside of storage requests, e.g. while fetching an access
    // token.
    const ended = Promise.withResolvers<never>();
    const end = (reason: unknown) => {
      ended.reject(reason);
      controller.abort(reason);
    };
    const forward = () => end(signal?.reason);
    const timer = setTimeout(() => end(new NoAnswerError('Storage did not answer in time')), timeoutMs);
    signal?.addEventListener('abort', forward, { once: true });
    try {
      return await Promise.race([
        ended.promise,
        abortingRequests({ host: this.host, signal: controller.signal }, () =>
          withRetries(() => attempt(this.storage), attempts, controller.signal),
        ),
      ]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', forward);
    }
  }
}

async function withRetries<T>(attempt: () => Promise<T>, attempts: number, signal: AbortSignal): Promise<T> {
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
