import { createHash } from 'node:crypto';
import pg from 'pg';
import { expect } from '@jest/globals';
import { put, type Ticket } from '../e2e/stack.js';
import { inconsistencies } from '../support/consistency.js';
import type { Fleet, Member } from '../support/fleet.js';
import { until } from '../../libs/testing/src/until.js';

export const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');

const REQUEST = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { id status } upload { httpMethod url headers { name value } } }
}`;

export interface UploadOptions {
  readonly subject?: string;
  readonly api?: Member;
  readonly mimeType?: string;
  readonly method?: 'PUT' | 'RESUMABLE';
  readonly idempotencyKey?: string;
}

export interface Requested {
  readonly id: string;
  readonly ticket: Ticket;
}

export async function requestUpload(
  fleet: Fleet,
  bytes: Buffer | string,
  { subject, api, mimeType = 'text/plain', ...more }: UploadOptions = {},
): Promise<Requested> {
  const sizeBytes = Buffer.byteLength(bytes);
  const input = { filename: 'file', mimeType, sizeBytes, checksumSha256: sha256(bytes), ...more };
  const { requestUpload: answer } = await fleet.query<{
    requestUpload: { asset: { id: string }; upload: Ticket };
  }>(REQUEST, { input }, subject, api);
  return { id: answer.asset.id, ticket: answer.upload };
}

/** Requests an upload, sends the bytes and returns the asset id. */
export async function upload(fleet: Fleet, bytes: Buffer | string, options?: UploadOptions): Promise<string> {
  const { id, ticket } = await requestUpload(fleet, bytes, options);
  const status = await put(ticket, bytes);
  if (status !== 200) throw new Error(`PUT answered ${status}`);
  return id;
}

export interface AssetState {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
}

/** Queries the fleet's database directly, past any proxy that its members use. */
export async function rows<Row extends object>(
  fleet: Fleet,
  sql: string,
  values: unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({
    connectionString: fleet.database.url,
    connectionTimeoutMillis: 30_000,
    query_timeout: 30_000,
  });
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** States of the assets in the order of the ids. Missing assets are left out. */
export const assetStates = (fleet: Fleet, ids: readonly string[]) =>
  rows<AssetState>(
    fleet,
    `select a.asset_id as id, a.status, a.attempt from unnest($1::uuid[]) with ordinality as i (id, place)
       join media_assets a on a.asset_id = i.id order by i.place`,
    [ids],
  );

/** Makes the tasks check all unfinished assets in their next run, so that a test need not wait for their schedule. */
export const hurryTasks = (fleet: Fleet) =>
  rows(
    fleet,
    `update media_assets set next_check_at = now() where status in ('PENDING', 'PROCESSING') or incoming_present`,
  );

/** Waits until all assets have a final status and returns their states. */
export function settled(fleet: Fleet, ids: readonly string[]): Promise<AssetState[]> {
  return until(`${ids.length} assets have a final status`, async () => {
    const states = await assetStates(fleet, ids);
    return states.some(({ status }) => status === 'PENDING' || status === 'PROCESSING') ? null : states;
  });
}

/** Expects every asset to be READY at its first attempt, without dead letters on the way. */
export async function expectReady(fleet: Fleet, ids: readonly string[]): Promise<void> {
  const states = await settled(fleet, ids);
  expect(states).toEqual(ids.map((id) => ({ id, status: 'READY', attempt: 1 })));
  // Forged events become dead letters as intended; they name no asset.
  const given = `select source, asset_id, error from dead_letters where source <> 'object-events' or asset_id is not null`;
  expect(await rows(fleet, given)).toEqual([]);
}

/** Waits until all follow-up work is done, the invariants 3 to 6 hold and no job is left, or fails the test. */
export async function expectConsistent(fleet: Fleet): Promise<void> {
  let problems: readonly string[] = ['the state was never checked'];
  const check = async () => {
    const jobs = await fleet.jobs();
    problems = [
      ...(await inconsistencies(fleet.database.url, fleet.emulators)),
      ...jobs.map((id) => `job ${id} is left`),
    ];
    return problems.length === 0 ? problems : null;
  };
  await until('the state is consistent', check).catch(() => undefined);
  expect(problems).toEqual([]);
}
