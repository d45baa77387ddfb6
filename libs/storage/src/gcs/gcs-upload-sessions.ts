import type { CallOptions } from '../object-store.js';
import {
  type SessionRequest,
  type SessionState,
  type UploadSession,
  UploadSessions,
} from '../upload-sessions.js';
import { GcsClient, type GcsOptions } from './gcs-client.js';
import { type BodilessRequest, explanationIn, sendRequest } from './media.js';
import { answerError, NoAnswerError, portError } from './storage-error.js';

export interface GcsUploadSessionsOptions extends GcsOptions {
  /** Origin at which clients reach storage; default `endpoint`. */
  readonly publicEndpoint?: string;
  /** Limit in milliseconds for each call, retries included; default 15 s. */
  readonly callTimeoutMs?: number;
}

interface Call extends Omit<BodilessRequest, 'authClient'> {
  /** Statuses that are a valid answer; any other status is an error. */
  readonly expected: readonly number[];
}

/** A session lives for one week: https://docs.cloud.google.com/storage/docs/resumable-uploads#session-uris */
const SESSION_MS = 7 * 24 * 3_600_000;

/** The precondition failed: the object exists. */
const EXISTS = 412;

/** 404, 410: storage no longer knows the session. 499: the session was cancelled. */
const GONE = [404, 410, 499];

/**
 * Resumable uploads of Google Cloud Storage over its JSON API. Opening a session needs the service's credentials; every
 * later request needs the session URL only. The official client can neither end a session nor query its state.
 * @see https://docs.cloud.google.com/storage/docs/performing-resumable-uploads
 */
export class GcsUploadSessions extends UploadSessions {
  private readonly client: GcsClient;
  private readonly origin: string;
  private readonly publicOrigin: string;
  private readonly callTimeoutMs: number;

  constructor(options: GcsUploadSessionsOptions = {}) {
    super();
    const { endpoint = 'https://storage.googleapis.com', publicEndpoint = endpoint } = options;
    this.client = new GcsClient(options);
    this.origin = new URL(endpoint).origin;
    this.publicOrigin = new URL(publicEndpoint).origin;
    this.callTimeoutMs = options.callTimeoutMs ?? 15_000;
  }

  override async open(request: SessionRequest, { signal }: CallOptions = {}): Promise<UploadSession | null> {
    const { bucket, key, contentType, sizeBytes, origin, now } = request;
    const url = new URL(`/upload/storage/v1/b/${encodeURIComponent(bucket)}/o`, this.origin);
    // Storage checks the condition now and again when it creates the object.
    url.search = new URLSearchParams({
      uploadType: 'resumable',
      name: key,
      ifGenerationMatch: '0',
    }).toString();
    const headers = {
      'x-upload-content-type': contentType,
      'x-upload-content-length': sizeBytes,
      // The official clients send this header; it distinguishes a program that sets Origin from a browser.
      // https://cloud.google.com/apis/docs/system-parameters
      'x-goog-api-client': 'stowage',
      ...(origin !== undefined && { origin }),
    };
    // Storage counts from the receipt of the request, so the real expiry is slightly later.
    const expiresAt = new Date(now.getTime() + SESSION_MS);
    const call = { method: 'POST', url, headers, expected: [200, 201, EXISTS] };
    const { status, location } = await this.call(call, signal);
    if (status === EXISTS) return null;
    if (location === undefined || !URL.canParse(location)) {
      throw portError(new NoAnswerError('Storage returned no session URL'));
    }
    return { url: this.at(this.publicOrigin, location).href, expiresAt };
  }

  override async stateOf(url: string, { signal }: CallOptions = {}): Promise<SessionState> {
    const { status } = await this.call(
      {
        method: 'PUT',
        url: this.at(this.origin, url),
        headers: { 'content-range': 'bytes */*' },
        expected: [200, 201, 308, ...GONE],
      },
      signal,
    );
    if (status === 308) return 'open';
    return GONE.includes(status) ? 'gone' : 'finished';
  }

  override async end(url: string, { signal }: CallOptions = {}): Promise<void> {
    await this.call(
      { method: 'DELETE', url: this.at(this.origin, url), headers: {}, expected: [200, 204, ...GONE] },
      signal,
    );
  }

  /** Moves the session URL to another origin. The service itself calls no origin but its own endpoint. */
  private at(origin: string, url: string): URL {
    const { pathname, search } = new URL(url);
    return new URL(pathname + search, origin);
  }

  private async call({ method, url, headers, expected }: Call, signal?: AbortSignal) {
    try {
      return await this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async (storage) => {
        const authClient = method === 'POST' ? storage.authClient : undefined;
        const sent = { method, url, headers: { 'content-length': 0, ...headers }, authClient };
        const answer = await sendRequest(sent, this.client.agents);
        const explanation = await explanationIn(answer);
        const status = answer.statusCode ?? 0;
        if (!expected.includes(status)) throw answerError(status, explanation);
        return { status, location: answer.headers.location };
      });
    } catch (error) {
      throw portError(error);
    }
  }
}
