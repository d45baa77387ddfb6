import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { ApiError, ClientGone } from './errors.js';

/** What a handler answers with. A stream is destroyed when the client goes away. */
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

/** Sees the bytes of a body on their way, and may slow or end them. */
export type Tap = (chunks: AsyncIterable<Buffer>) => AsyncIterable<Buffer>;

const JSON_BODY_LIMIT = 1024 * 1024;

/** One request and the response to it, with its path and query taken apart. */
export class Exchange {
  /** As received, percent-encoding and all: signatures are made over it. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** The decoded segments a route's template names. */
  params: Record<string, string> = {};
  /** Which API the request is for, and so the language of a refusal. */
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

  /** Every header in the order sent. Node hands header bytes out as Latin-1; signatures and metadata are UTF-8. */
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
   * The request's body, once. Only now does a client that asked first (`Expect: 100-continue`) get leave to send. Ending early
   * leaves the connection open, so that the refusal still reaches the client.
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

  /** The body as a JSON object; an empty body is an empty object. */
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
