import path from 'node:path';
import { expect, it } from '@jest/globals';
import { Fleet, type Member } from '../support/fleet.js';
import { until } from '../../libs/testing/src/until.js';
import { requestUpload, rows } from './uploads.js';

const HOURS = 3600;
const SHIFT = path.resolve(import.meta.dirname, '../support/shifted-date.mjs');
const ahead = (seconds: number): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import=${SHIFT}`,
  DATE_SHIFT_MS: String(seconds * 1000),
});

const offsetAt = async (member: Member) => {
  const response = await member.fetch('/health/ready');
  const { checks } = (await response.json()) as { checks: { clock: { ok: boolean; offsetSeconds: number } } };
  return {
    status: response.status,
    ok: checks.clock.ok,
    hours: Math.round(checks.clock.offsetSeconds / HOURS) || 0,
  };
};

// Real: two apis and a worker as processes, PostgreSQL, queue tables, emulators. One api and the worker have shifted clocks.
it('reports clocks that are hours off, and neither accepts tokens nor expires uploads with them', async () => {
  await using fleet = await Fleet.start({ apis: 1, workers: 0 });
  const slow = await fleet.addApi(ahead(-2 * HOURS));
  const fast = await fleet.addWorker(ahead(2 * HOURS));
  const { id } = await requestUpload(fleet, 'not sent yet');

  expect(await offsetAt(fleet.apis[0]!)).toEqual({ status: 200, ok: true, hours: 0 });
  expect(await offsetAt(slow)).toEqual({ status: 503, ok: false, hours: 2 });
  expect(await offsetAt(fast)).toEqual({ status: 503, ok: false, hours: -2 });
  await expect(requestUpload(fleet, 'at what time?', { api: slow })).rejects.toThrow('CLOCK_OFFSET');

  // The worker with the right time runs its tasks. The worker with the shifted clock has had at least as much time to do so.
  await fleet.addWorker();
  const { id: due } = await requestUpload(fleet, 'never sent');
  await rows(
    fleet,
    `update media_assets set upload_deadline_at = now() - interval '1 second', next_check_at = now() where asset_id = $1`,
    [due],
  );
  const statusOf = async (asset: string) =>
    (
      await rows<{ status: string }>(fleet, 'select status from media_assets where asset_id = $1', [asset])
    )[0]!.status;
  await until('the due upload expires', async () => ((await statusOf(due)) === 'EXPIRED' ? true : null));
  expect(await statusOf(id)).toBe('PENDING');
});
