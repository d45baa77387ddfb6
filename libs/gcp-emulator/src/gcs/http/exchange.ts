import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { ApiError, ClientGone } from './errors.js';

/** A handler's response. A stream is destroyed when the client disconnects. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: string | Readable;
}

export const jsonReply = (value: unknown, status = 200): Reply => ({
  status,
  headers: { 'Content-Type': 'application/json; charset=UTF-8' },
  body: JSON.stringify(value),
});

export const noContent: Reply = { status: 204 };

/** Intercepts the bytes of a body and may slow or end them. */
export type Tap = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

const JSON_BODY_LIMIT = 1024 * 1024;

/** One request and its response, with the path and query split. */
export class Exchange {
  /** As received, still percent-encoded: signatures are computed over it. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** Decoded values of the `:name` segments of the route. */
  params: Record<string, string> = {};
  /** True for the XML API. Errors are rendered in the format of the API. */
  isXml = false;
  tapRequest: Tap | undefined;
  tapResponse: Tap | undefined;

  constructor(
    readonly request: IncomingMessage,
    readonly response: ServerResponse,
    /** The client waits for "100 Continue" before it sends its body. */
    private awaitsContinue = false,
  ) {
    const target = request.url ?? '/';
    const mark = target.indexOf('?');
    this.rawPath = mark < 0 ? target : target.slice(0, mark);
    this.rawQuery = mark < 0 ? '' : target.slice(mark + 1);
    this.query = new URLSearchParams(this.rawQuery);
  }

  get method(): string {
    return this.request.method ?? 'GET';
  }

  param(name: string): string {
    return this.params[name] ?? '';
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return Array.isArray(value) ? value.join(',') : value;
  }

  /** All headers in the order sent. Node decodes header bytes as Latin-1; signatures and metadata are UTF-8. */
  headerPairs(): [string, string][] {
    const { rawHeaders } = this.request;
    const pairs: [string, string][] = [];
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const value = Buffer.from(rawHeaders[i + 1] ?? '', 'latin1').toString('utf8');
      pairs.push([(rawHeaders[i] ?? '').toLowerCase(), value]);
    }
    return pairs;
  }

  /**
   * Reads the request's body, once. A client that sent `Expect: 100-continue` is told to continue only now. A reader
   * that ends early leaves the connection open, so that the error still reaches the client.
   */
  async *body(): AsyncGenerator<Buffer, void, undefined> {
    if (this.awaitsContinue) {
      this.awaitsContinue = false;
      this.response.writeContinue();
    }
    const chunks = this.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    try {
      yield* this.tapRequest ? this.tapRequest(chunks) : chunks;
    } catch (cause) {
      throw new ClientGone('the client went away in the middle of its request', { cause });
    }
  }

  /**
   * Reads the body as a JSON object of at most 1 MiB; an empty body is an empty object.
   * @throws {ApiError} bodyTooLarge or parseError
   */
  async json(): Promise<Record<string, unknown>> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of this.body()) {
      size += chunk.length;
      if (size > JSON_BODY_LIMIT) throw new ApiError('bodyTooLarge');
      chunks.push(chunk);
    }
    return parseJsonObject(Buffer.concat(chunks).toString('utf8'));
  }
}

export function parseJsonObject(text: string): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError('parseError');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new ApiError('parseError');
  return value as Record<string, unknown>;
}
