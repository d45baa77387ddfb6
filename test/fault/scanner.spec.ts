import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWithClamd, MARKER, TEST_FILES, TestClamd } from '../support/clamd.js';
import { Fleet } from '../support/fleet.js';
import { until } from '../../libs/testing/src/until.js';
import { assetStates, expectConsistent, rows, upload } from './uploads.js';

const UPLOADS = 100;
/** Every fifth upload is infected. */
const INFECTED = 5;

describeWithClamd(
  'scanner outages (real: an api and a worker as processes, PostgreSQL, emulators, clamd)',
  () => {
    let clamd: TestClamd;
    let fleet: Fleet;

    beforeAll(async () => {
      clamd = await TestClamd.start();
      fleet = await Fleet.start({ env: { CLAMD_ADDRESS: clamd.address } });
    });
    afterAll(async () => {
      await fleet[Symbol.asyncDispose]();
      await clamd[Symbol.asyncDispose]();
    });

    const countOf = async (sql: string) => (await rows<{ count: number }>(fleet, sql))[0]!.count;
    const untilFinal = (count: number) =>
      until(`${count} assets have a final status`, async () => {
        const sql = `select count(*)::int from media_assets where status not in ('PENDING', 'PROCESSING')`;
        return (await countOf(sql)) >= count ? true : null;
      });
    const activeJobs = () => countOf(`select count(*)::int from bullmq.job where state = 'active'`);
    const isAtWork = () =>
      until('the worker is at work', async () => ((await activeJobs()) > 0 ? true : null));
    const untilUnavailable = () => {
      const from = fleet.logs.length;
      return until('the worker logs SCANNER_UNAVAILABLE', () =>
        fleet.logs.includes('SCANNER_UNAVAILABLE', from) ? true : null,
      );
    };

    it('gives 100 uploads the right status at the first attempt while the scanner is killed and hangs', async () => {
      const isInfected = (index: number) => index % INFECTED === 0;
      const uploads = Promise.all(
        Array.from({ length: UPLOADS }, (_, index) => {
          const bytes = Buffer.concat([
            isInfected(index) ? MARKER : Buffer.from('a harmless text'),
            Buffer.from(` ${index}`),
          ]);
          return upload(fleet, bytes, { subject: String(900 + (index % 7)) });
        }),
      );

      await untilFinal(10);
      await isAtWork();
      let unavailable = untilUnavailable();
      await clamd.kill();
      await unavailable;
      await clamd.run();

      await untilFinal(30);
      await isAtWork();
      clamd.pause();
      await isAtWork();
      clamd.resume();

      await untilFinal(45);
      await isAtWork();
      clamd.pause();
      await isAtWork();
      unavailable = untilUnavailable();
      await clamd.kill();
      await unavailable;
      await clamd.run();

      await untilFinal(60);
      await clamd.kill('SIGTERM');
      await clamd.run();

      const ids = await uploads;
      await untilFinal(UPLOADS);
      expect(await assetStates(fleet, ids)).toEqual(
        ids.map((id, index) => ({ id, status: isInfected(index) ? 'REJECTED' : 'READY', attempt: 1 })),
      );
      expect(
        await rows(fleet, `select distinct status_reason from media_assets where status = 'REJECTED'`),
      ).toEqual([{ status_reason: 'MALWARE' }]);
      await expectConsistent(fleet);
    });

    it('rejects every ClamAV test file as malware and serves none of them', async () => {
      const names = await readdir(TEST_FILES);
      expect(names.length).toBeGreaterThanOrEqual(44);
      const ids: string[] = [];
      for (const name of names) {
        const bytes = await readFile(path.join(TEST_FILES, name));
        ids.push(await upload(fleet, bytes, { subject: '950', mimeType: 'application/octet-stream' }));
      }
      await untilFinal(UPLOADS + names.length);
      const found = await rows<{ id: string; reason: string }>(
        fleet,
        'select asset_id as id, status_reason as reason from media_assets where owner_id = 950',
      );
      const reasons = new Map(found.map(({ id, reason }) => [id, reason]));
      expect(ids.map((id, index) => [names[index], reasons.get(id)])).toEqual(
        names.map((name) => [name, 'MALWARE']),
      );
      const url = 'query ($id: ID!) { asset(id: $id) { status downloadUrl { url } } }';
      for (const id of ids) {
        expect(await fleet.query(url, { id }, '950')).toEqual({
          asset: { status: 'REJECTED', downloadUrl: null },
        });
      }
      expect((await fleet.emulators.client.bucket('quarantine').getFiles())[0].length).toBeGreaterThan(
        names.length,
      );
      await expectConsistent(fleet);
    });
  },
);
