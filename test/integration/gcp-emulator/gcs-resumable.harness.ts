import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import http from 'node:http';
import { until, type Harness } from './gcs.harness.js';

export const QUANTUM = 256 * 1024;

/** Response status and `Range` header, which reports the bytes stored so far. */
export type Progress = [status: number, range: string | null];

export const upTo = (bytes: number): Progress => [308, `bytes=0-${bytes - 1}`];

/** Sends one PUT to a session; `range` is the raw `Content-Range` header. */
export const put = (uri: string, range: string | undefined, body: Buffer | string = '', headers = {}) =>
  fetch(uri, {
    method: 'PUT',
    headers: { ...(range !== undefined && { 'content-range': range }), ...headers },
    body,
  });

export async function progress(uri: string): Promise<Progress> {
  const response = await put(uri, 'bytes */*');
  await response.arrayBuffer();
  return [response.status, response.headers.get('range')];
}

/** Declares the whole body, sends its first `sent` bytes and cuts the connection once `onDisk` bytes are on disk. */
export async function cutAfter(
  harness: Harness,
  {
    uri,
    range,
    body,
    sent,
    onDisk,
  }: { uri: string; range: string; body: Buffer; sent: number; onDisk: number },
): Promise<void> {
  const headers = { 'content-range': range, 'content-length': body.length };
  const request = http.request(uri, { method: 'PUT', headers, timeout: 20_000 });
  const failed = once(request, 'error').catch((error: unknown) => error);
  request.write(body.subarray(0, sent));
  await until(async () => (await bytesOnDisk(harness)) >= onDisk);
  request.destroy(new Error('cut'));
  await failed;
}

export async function bytesOnDisk(harness: Harness): Promise<number> {
  const sizes = (await harness.filesOnDisk()).map(async (file) => (await stat(file)).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
