import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

export interface Ticket {
  /** The client cannot use a ticket with an unknown protocol. */
  readonly protocol?: string;
  readonly httpMethod: string;
  readonly url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

/** Properties that the service read from the file; unknown ones are null. */
export interface Properties {
  readonly width: number | null;
  readonly height: number | null;
  readonly durationSeconds: number | null;
  readonly pageCount: number | null;
  readonly takenAtLocal: string | null;
  readonly cameraMake: string | null;
  readonly cameraModel: string | null;
  readonly title: string | null;
  readonly artist: string | null;
  readonly album: string | null;
  readonly location: { readonly latitude: number; readonly longitude: number } | null;
}

export interface Variant {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly sizeBytes: number;
}

export interface Asset {
  readonly id: string;
  readonly status: string;
  readonly statusReason: { readonly code: string; readonly message: string } | null;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly downloadUrl: { readonly url: string; readonly expiresAt: string } | null;
  readonly properties: Properties | null;
  readonly variants: readonly Variant[];
  readonly variantsReason: string | null;
}

export interface UploadInput {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly method?: 'RESUMABLE';
}

/** An error response of the API. */
export class ApiError extends Error {
  readonly code: string;

  constructor(message: string, code: string) {
    super(`${message} (${code})`);
    this.code = code;
  }
}

/** A failure after which the same request can be sent again safely. */
export class TryAgain extends Error {}

const TRIES = 8;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 5_000;
const API_TIMEOUT_MS = 30_000;
const RETRIED_CODES = new Set(['UNAVAILABLE', 'RATE_LIMITED']);

const ASSET = `id status statusReason { code message } mimeType sizeBytes checksumSha256 downloadUrl { url expiresAt }
  properties { width height durationSeconds pageCount takenAtLocal cameraMake cameraModel title artist album
    location { latitude longitude } }
  variants { name width height sizeBytes } variantsReason`;
const TICKET = 'protocol httpMethod url headers { name value }';
const REQUEST_UPLOAD = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { ${ASSET} } upload { ${TICKET} } }
}`;
const RENEW_UPLOAD = `mutation ($id: ID!) { renewUpload(assetId: $id) { ${TICKET} } }`;
const COMPLETE_UPLOAD = `mutation ($id: ID!) { completeUpload(assetId: $id) { ${ASSET} } }`;
const ASSET_BY_ID = `query ($id: ID!) { asset(id: $id) { ${ASSET} } }`;

/** Retries work that fails with {@link TryAgain}, with growing pauses, for about half a minute. */
export async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1, pause = FIRST_PAUSE_MS; ; attempt++, pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TryAgain) || attempt === TRIES) throw error;
      await delay(pause);
    }
  }
}

/** A GraphQL client. */
export class Client {
  private readonly url: string;
  private readonly token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.token = token;
  }

  /** Sends an idempotency key, so that a retry returns the same asset. */
  async requestUpload(input: UploadInput): Promise<{ asset: Asset; upload: Ticket | null }> {
    const variables = { input: { ...input, idempotencyKey: randomUUID() } };
    const data = await this.call<{ requestUpload: { asset: Asset; upload: Ticket | null } }>(
      REQUEST_UPLOAD,
      variables,
    );
    return data.requestUpload;
  }

  async renewUpload(id: string): Promise<Ticket> {
    return (await this.call<{ renewUpload: Ticket }>(RENEW_UPLOAD, { id })).renewUpload;
  }

  async completeUpload(id: string): Promise<Asset> {
    return (await this.call<{ completeUpload: Asset }>(COMPLETE_UPLOAD, { id })).completeUpload;
  }

  async asset(id: string): Promise<Asset | null> {
    return (await this.call<{ asset: Asset | null }>(ASSET_BY_ID, { id })).asset;
  }

  /** Sends an operation, again if the service is unavailable. @throws ApiError with the first error; TryAgain after the last retry */
  call<Data>(query: string, variables: object): Promise<Data> {
    return retried(async () => {
      let status: number;
      let body: string;
      try {
        const response = await fetch(this.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${this.token}` },
          body: JSON.stringify({ query, variables }),
          signal: AbortSignal.timeout(API_TIMEOUT_MS),
        });
        [status, body] = [response.status, await response.text()];
      } catch (error) {
        const { cause = error } = error as Error;
        throw new TryAgain(
          `${this.url} does not answer: ${(cause as Error).message || (cause as { code?: string }).code}`,
        );
      }
      return dataIn<Data>(status, body);
    });
  }
}

interface Answer<Data> {
  readonly data?: Data | null;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

function dataIn<Data>(status: number, body: string): Data {
  let answer: Answer<Data>;
  try {
    answer = JSON.parse(body) as Answer<Data>;
  } catch {
    answer = {};
  }
  const [error] = answer.errors ?? [];
  const code = error?.extensions?.code ?? `HTTP ${status}`;
  if (error && !RETRIED_CODES.has(code)) throw new ApiError(error.message, code);
  if (error || status >= 500) throw new TryAgain(`${error?.message ?? 'The server failed'} (${code})`);
  if (!answer.data) throw new ApiError('This is not a GraphQL response', code);
  return answer.data;
}
