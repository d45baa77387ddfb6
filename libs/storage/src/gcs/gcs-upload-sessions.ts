import http, { type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import type { CallOptions } from '../object-store.js';
import {
  type SessionRequest,
  type SessionState,
  type UploadSession,
  UploadSessions,
} from '../upload-sessions.js';
import { GcsClient, type GcsOptions } from './gcs-client.js';
import { answerTo, explanationIn } from './media.js';
import { answerError, isChanged, NoAnswerError, portError } from './storage-error.js';

export interface GcsUploadSessionsOptions extends GcsOptions {
  /** Origin at which clients reach storage; default `endpoint`. */
  readonly publicEndpoint?: string;
  /** Limit in milliseconds for each call, retries included; default 15 s. */
  readonly callTimeoutMs?: number;
}

interface Call {
  readonly method: 'POST' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: OutgoingHttpHeaders;
  /** Statuses that are a valid answer; any other status is an error. */
  readonly expected: readonly number[];
}

/** A session lives for one week: https://docs.cloud.google.com/storage/docs/resumable-uploads#session-uris */
const SESSION_MS = 7 * 24 * 3_600_000;

/** Value of `x-goog-api-client`: https://cloud.google.com/apis/docs/system-parameters */
const API_CLIENT = 'stowage';

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
      'content-length': 0,
      'x-upload-content-type': contentType,
      'x-upload-content-length': sizeBytes,
      // The official clients send this header; it distinguishes a program that sets Origin from a browser.
      'x-goog-api-client': API_CLIENT,
      ...(origin !== undefined && { origin }),
    };
    // Storage counts from the receipt of the request, so the real expiry is slightly later.
    const expiresAt = new Date(now.getTime() + SESSION_MS);
    try {
      const { location } = (await this.call({ method: 'POST', url, headers, expected: [200, 201] }, signal))
        .headers;
      if (location === undefined || !URL.canParse(location))
        throw new NoAnswerError('Storage returned no session URL');
      return { url: this.at(this.publicOrigin, location).href, expiresAt };
    } catch (error) {
      if (isChanged(error)) return null;
      throw portError(error);
    }
  }

  override async stateOf(url: string, { signal }: CallOptions = {}): Promise<SessionState> {
    const headers = { 'content-length': 0, 'content-range': 'bytes */*' };
    const status = await this.request(
      { method: 'PUT', headers, expected: [200, 201, 308, ...GONE] },
      url,
      signal,
    );
    if (status === 308) return 'open';
    return GONE.includes(status) ? 'gone' : 'finished';
  }

  override async end(url: string, { signal }: CallOptions = {}): Promise<void> {
    await this.request(
      { method: 'DELETE', headers: { 'content-length': 0 }, expected: [200, 204, ...GONE] },
      url,
      signal,
    );
  }

  private async request(call: Omit<Call, 'url'>, url: string, signal?: AbortSignal): Promise<number> {
    try {
      return (await this.call({ ...call, url: this.at(this.origin, url) }, signal)).statusCode ?? 0;
    } catch (error) {
      throw portError(error);
    }
  }

  /** Moves the session URL to another origin. The service itself calls no origin but its own endpoint. */
  private at(origin: string, url: string): URL {
    const { pathname, search } = new URL(url);
    return new URL(pathname + search, origin);
  }

  private call({ method, url, headers, expected }: Call, signal?: AbortSignal): Promise<IncomingMessage> {
    return this.client.call({ timeoutMs: this.callTimeoutMs, signal }, async ({ authClient }) => {
      const isSecure = url.protocol === 'https:';
      const credentials = isSecure && method === 'POST' ? await authClient.getRequestHeaders() : [];
      const options = { method, headers: { ...Object.fromEntries(credentials), ...headers } };
      const request = isSecure
        ? https.request(url, { ...options, agent: this.client.agents.https })
        : http.request(url, { ...options, agent: this.client.agents.http });
      const answered = answerTo(request);
      request.end();
      const answer = await answered;
      const explanation = await explanationIn(answer);
      if (!expected.includes(answer.statusCode ?? 0)) throw answerError(answer.statusCode ?? 0, explanation);
      return answer;
    });
  }
}
