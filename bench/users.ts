import { randomBytes } from 'node:crypto';
import { built } from './built.ts';
import type { LoadRequest } from './load/load.ts';
import type { Stack } from './stack.ts';

/** Connections of every load on the api and on its ceilings. */
export const CONNECTIONS = 32;
export const MANY_OWNERS = 1000;
export const FIRST_OWNER = 1000;

const UPLOAD = `asset { id status } upload { httpMethod url headers { name value } expiresAt }`;
export const REQUEST_UPLOAD = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { ${UPLOAD} } }`;
export const REQUEST_UPLOADS = `mutation ($inputs: [RequestUploadInput!]!) {
  requestUploads(inputs: $inputs) { ... on RequestUploadPayload { ${UPLOAD} } ... on UploadRefusal { code message } } }`;

export interface UploadInput {
  readonly filename: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
}

/** Input for a photograph that is not stored yet. */
export const newInput = (): UploadInput => ({
  filename: `photograph-${randomBytes(4).toString('hex')}.jpg`,
  mimeType: 'image/jpeg',
  sizeBytes: 3_500_000,
  checksumSha256: randomBytes(32).toString('hex'),
});

/** Tokens of `owners` owners, in order. */
export async function tokensOf(stack: Stack, owners: number): Promise<string[]> {
  return Promise.all(Array.from({ length: owners }, (_, index) => tokenOf(stack, FIRST_OWNER + index)));
}

/** The token of a user in these groups. */
export async function tokenOf(stack: Stack, user: number, groups: readonly string[] = []): Promise<string> {
  const { signToken } = await built<typeof import('../apps/local/src/token.ts')>('apps/local/src/token');
  return signToken(stack.secrets.jwtSecret, { subject: String(user), groups });
}

/** A GraphQL operation of a user as an HTTP request. */
export const operation = (token: string, query: string, variables: object): LoadRequest => {
  const body = JSON.stringify({ query, variables });
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  };
  return { method: 'POST', path: '/graphql', headers, body };
};

/** Sends one operation and returns its data. @throws Error with the errors of the api */
export async function ask<Data>(stack: Stack, { method, path, headers, body }: LoadRequest): Promise<Data> {
  const answer = await fetch(stack.apiOrigin + path, {
    method,
    headers,
    body,
    signal: AbortSignal.timeout(30_000),
  });
  const { data, errors } = (await answer.json()) as { data?: Data; errors?: object[] };
  if (errors !== undefined || data === undefined) throw new Error(JSON.stringify(errors));
  return data;
}
