import { createHash } from 'node:crypto';
import pg from 'pg';
import { expect } from '@jest/globals';
import { put, type Ticket } from '../e2e/stack.js';
import { inconsistencies } from '../support/consistency.js';
import type { Fleet, Member } from '../support/fleet.js';
import { until } from '../support/until.js';

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

/** Asks for an upload and sends the bytes; the asset's id. */
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

/** Rows of the fleet's database, past whatever stands between it and its members. */
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

/** Assets as the database has them, in the order of the ids; one that is not there is left out. */
export const assetStates = (fleet: Fleet, ids: readonly string[]) =>
  rows<AssetState>(
    fleet,
    `select a.asset_id as id, a.status, a.attempt from unnest($1::uuid[]) with ordinality as i (id, place)
       join media_assets a on a.asset_id = i.id order by i.place`,
    [ids],
  );

/** Has the sweepers look at everything unfinished in their next round: what they wait for is not what is tested. */
export const hurrySweepers = (fleet: Fleet) =>
  rows(
    fleet,
    `update media_assets set next_check_at = now() where status in ('PENDING', 'PROCESSING') or incoming_present`,
  );

/** Waits until all of them have settled, and says how. */
export function settled(fleet: Fleet, ids: readonly string[]): Promise<AssetState[]> {
  return until(`${ids.length} assets are settled`, async () => {
    const states = await assetStates(fleet, ids);
    return states.some(({ status }) => status === 'PENDING' || status === 'PROCESSING') ? null : states;
  });
}

/** Every one is READY at its first attempt, and no work was given up on the way. */
export async function expectReady(fleet: Fleet, ids: readonly string[]): Promise<void> {
  const states = await settled(fleet, ids);
  expect(states).toEqual(ids.map((id) => ({ id, status: 'READY', attempt: 1 })));
  // Forged events are given up, as they should be, and are nobody's.
  const given = `select source, asset_id, error from dead_letters where source <> 'object-events' or asset_id is not null`;
  expect(await rows(fleet, given)).toEqual([]);
}

/**
 * Waits until what follows from the last transitions is done; then the invariants 3 to 6 hold and no job is
 * left, or the test fails.
 */
export async function expectConsistent(fleet: Fleet): Promise<void> {
  let problems: readonly string[] = ['nobody could look'];
  const look = async () => {
    const jobs = await fleet.jobs();
    problems = [
      ...(await inconsistencies(fleet.database.url, fleet.emulators)),
      ...jobs.map((id) => `job ${id} is left`),
    ];
    return problems.length === 0 ? problems : null;
  };
  await until('nothing is inconsistent', look).catch(() => undefined);
  expect(problems).toEqual([]);
}
