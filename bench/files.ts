import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Load, LoadRequest } from './load/load.ts';
import type { Stack } from './stack.ts';
import { ask, operation, REQUEST_UPLOADS, type UploadInput } from './users.ts';

const POLL_MS = 25;
const LIMIT_MS = 120_000;
const MAX_BATCH = 100;

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

interface Requested {
  readonly asset: { readonly id: string };
  readonly upload: {
    readonly url: string;
    readonly headers: readonly { readonly name: string; readonly value: string }[];
  };
}

export interface NewFile {
  readonly bytes: Buffer;
  readonly mimeType: string;
}

/** A file of random bytes of a type that has no reader. */
export const opaqueFile = (sizeBytes: number): NewFile => ({
  bytes: randomBytes(sizeBytes),
  mimeType: 'application/octet-stream',
});

export interface Upload {
  readonly id: string;
  /** The PUT that the ticket asks for, without a body. */
  readonly put: LoadRequest;
}

/** Requests uploads as one owner, 100 per batch. */
export async function requestAll(
  stack: Stack,
  token: string,
  inputs: readonly UploadInput[],
): Promise<Upload[]> {
  const uploads: Upload[] = [];
  for (let from = 0; from < inputs.length; from += MAX_BATCH) {
    const batch = inputs.slice(from, from + MAX_BATCH);
    const { requestUploads } = await ask<{ requestUploads: Requested[] }>(
      stack,
      operation(token, REQUEST_UPLOADS, { inputs: batch }),
    );
    requestUploads.forEach(({ asset: { id }, upload: { url, headers } }, index) => {
      const signed = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
      const length = { 'content-length': String(batch[index]!.sizeBytes) };
      const path = url.slice(stack.storageOrigin.length);
      uploads.push({ id, put: { method: 'PUT', path, headers: { ...signed, ...length } } });
    });
  }
  return uploads;
}

/** Requests uploads of files, sends them over `connections` connections and returns the asset ids. */
export async function uploadAll(
  { stack, load, token, connections }: { stack: Stack; load: Load; token: string; connections: number },
  files: readonly NewFile[],
): Promise<string[]> {
  const inputs = files.map(({ bytes, mimeType }, index) => ({
    filename: `file-${index}`,
    mimeType,
    sizeBytes: bytes.length,
    checksumSha256: sha256(bytes),
  }));
  const uploads = await requestAll(stack, token, inputs);
  const requests = uploads.map(({ put }) => put);
  const bodies = files.map(({ bytes }) => bytes);
  await load.rate({ origin: stack.storageOrigin, requests, bodies, connections });
  return uploads.map(({ id }) => id);
}

/** Waits until all assets are READY. @throws Error if one of them reaches another final status */
export async function untilReady(stack: Stack, ids: readonly string[]): Promise<void> {
  for (const end = Date.now() + LIMIT_MS; ; await delay(POLL_MS)) {
    const rows = await stack.query<{ status: string; count: number }>(
      'select status, count(*)::int from media_assets where asset_id = any($1) group by 1',
      [ids],
    );
    const counts = new Map(rows.map(({ status, count }) => [status, count]));
    if (counts.get('READY') === ids.length) return;
    const waiting =
      (counts.get('PENDING') ?? 0) + (counts.get('PROCESSING') ?? 0) + (counts.get('READY') ?? 0);
    if (waiting < ids.length || Date.now() > end) {
      const why = await stack.query(
        'select distinct mime_type, status_reason, status_detail from media_assets where asset_id = any($1) and status_reason is not null',
        [ids],
      );
      throw new Error(`not all files are READY: ${JSON.stringify([Object.fromEntries(counts), ...why])}`);
    }
  }
}
