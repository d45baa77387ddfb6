import { createHash } from 'node:crypto';
import type { Fleet } from '../support/fleet.js';
import { signJwt } from '../../libs/testing/src/environment.js';
import { until } from '../../libs/testing/src/until.js';
import { type Answer, put, type Ticket } from './stack.js';

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

const REQUEST = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { id status mimeType } upload { httpMethod url headers { name value } } }
}`;
const ASSET = `query ($id: ID!) { asset(id: $id) {
  id status mimeType sizeBytes checksumSha256 statusReason { code message }
  properties { width height durationSeconds pageCount title location { latitude longitude } }
  variants { name }
  inline: downloadUrl(disposition: INLINE) { url } } }`;

export interface Requested {
  readonly asset: { readonly id: string; readonly status: string; readonly mimeType: string };
  readonly upload: Ticket | null;
}

/** State of an upload as its owner sees it. */
export interface Outcome {
  readonly id: string;
  readonly status: string;
  readonly mimeType: string;
  readonly sizeBytes: number;
  readonly checksumSha256: string;
  readonly statusReason: { readonly code: string; readonly message: string } | null;
  readonly properties: Readonly<Record<string, unknown>> | null;
  readonly variants: readonly { readonly name: string }[];
  readonly inline: { readonly url: string } | null;
}

/** Sends a requestUpload mutation, valid or not. The fields of `input` are sent as JSON without checks. */
export async function requestUpload(
  fleet: Fleet,
  input: object,
  subject = '42',
): Promise<Answer<{ requestUpload: Requested }>> {
  const response = await fleet.apis[0]!.fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${await signJwt(subject)}` },
    body: JSON.stringify({ query: REQUEST, variables: { input } }),
  });
  return (await response.json()) as Answer<{ requestUpload: Requested }>;
}

export const inputFor = (bytes: Buffer | string, mimeType: string, filename = 'file') => ({
  filename,
  mimeType,
  sizeBytes: Buffer.byteLength(bytes),
  checksumSha256: sha256(bytes),
});

export async function outcomeOf(fleet: Fleet, id: string, subject = '42'): Promise<Outcome> {
  return (await fleet.query<{ asset: Outcome }>(ASSET, { id }, subject)).asset;
}

/** Waits until an upload has a final status. */
const ended = (fleet: Fleet, id: string, subject: string): Promise<Outcome> =>
  until(`${id} has ended`, async () => {
    const outcome = await outcomeOf(fleet, id, subject);
    return ['PENDING', 'PROCESSING'].includes(outcome.status) ? null : outcome;
  });

/** Requests an upload, sends `bytes`, which may differ from the declared ones, and returns the asset id. */
export async function send(
  fleet: Fleet,
  input: ReturnType<typeof inputFor>,
  bytes: Buffer | string,
  subject: string,
): Promise<string> {
  const { data, errors } = await requestUpload(fleet, input, subject);
  if (data === undefined) throw new Error(JSON.stringify(errors));
  const { asset, upload: ticket } = data.requestUpload;
  if (ticket !== null) {
    const status = await put(ticket, bytes);
    if (status !== 200) throw new Error(`PUT answered ${status}`);
  }
  return asset.id;
}

/** Uploads bytes and waits until the asset has a final status. */
export async function upload(
  fleet: Fleet,
  input: ReturnType<typeof inputFor>,
  bytes: Buffer | string,
  subject = '42',
): Promise<Outcome> {
  return ended(fleet, await send(fleet, input, bytes, subject), subject);
}

/** Runs `work` on all items, at most `atATime` at once. The results keep the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  atATime: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const one = async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await work(items[index]!);
  };
  await Promise.all(Array.from({ length: Math.min(atATime, items.length) }, one));
  return results;
}
