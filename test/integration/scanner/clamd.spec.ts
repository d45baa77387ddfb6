import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClamdScanner, type ClamdScannerOptions } from '#libs/scanner';
import { scannerContract } from '#libs/scanner/testing';
import { encryptedArchive, nestedArchive } from '../../../libs/scanner/src/clamd/probe-archive.js';
import { EICAR } from '../../../libs/scanner/src/eicar.js';
import {
  describeWithClamd,
  KNOWN_BAD,
  MARKER,
  type Settings,
  TEST_FILES,
  TestClamd,
} from '../../support/clamd.js';
import { until } from '../../support/until.js';
import { DOWN, randomMebibytes, scan } from './contents.js';

const MIB = 2 ** 20;
/** True for what succeeds, null for what does not. */
const yes = [() => true as const, () => null] as const;
const WORDS = Buffer.from('Harmless words');
const MAX_BYTES = 100 * MIB;

const scannerOf = ({ address }: TestClamd, options: Partial<ClamdScannerOptions> = {}) =>
  new ClamdScanner({ address, maxBytes: MAX_BYTES, ...options });

describeWithClamd('ClamdScanner (real: clamd, with signatures of its own)', () => {
  for (const socket of [false, true]) {
    scannerContract(`ClamdScanner, by ${socket ? 'a Unix socket' : 'TCP'}`, async () => {
      const clamd = await TestClamd.start({ socket });
      return { scanner: scannerOf(clamd), close: () => clamd[Symbol.asyncDispose]() };
    });
  }

  describe('verdicts', () => {
    let clamd: TestClamd;
    let scanner: ClamdScanner;
    beforeAll(async () => {
      clamd = await TestClamd.start();
      scanner = scannerOf(clamd);
    });
    afterAll(() => clamd[Symbol.asyncDispose]());

    it('finds all 44 of the files that ClamAV is tested with', async () => {
      const names = await readdir(TEST_FILES);
      expect(names).toHaveLength(44);
      for (const name of names) {
        const verdict = await scan(scanner, await readFile(path.join(TEST_FILES, name)));
        expect([name, verdict]).toEqual([
          name,
          { outcome: 'infected', signature: expect.any(String) as unknown },
        ]);
      }
    });

    it.each([
      [
        'a signature at the very end',
        Buffer.concat([randomBytes(5 * MIB), MARKER]),
        'Stowage.Marker.UNOFFICIAL',
      ],
      ['a whole content', KNOWN_BAD, 'Stowage.KnownBad.UNOFFICIAL'],
    ])('finds %s', async (_, bytes, signature) => {
      expect(await scan(scanner, bytes)).toEqual({ outcome: 'infected', signature });
    });

    it.each([
      [
        'a file above MaxFileSize',
        () => randomBytes(13 * MIB),
        'It exceeds a limit of the scanner (MaxFileSize).',
      ],
      ['too many layers', () => nestedArchive(30), 'It exceeds a limit of the scanner (MaxRecursion).'],
      ['an encrypted archive', encryptedArchive, 'It is encrypted (Zip) and cannot be scanned.'],
    ])('cannot scan %s', async (_, make, why) => {
      expect(await scan(scanner, make())).toEqual({ outcome: 'unscannable', why });
    });

    it('scans up to MaxFileSize', async () => {
      expect(await scan(scanner, randomBytes(12 * MIB))).toEqual({ outcome: 'clean' });
    });

    it('calls nothing clean that is above StreamMaxLength', async () => {
      const outcomes = new Set<string>();
      // The daemon closes with bytes unread, so its answer may be lost on the way: it is heard where there is time to.
      const unhurried = async function* () {
        for await (const mebibyte of randomMebibytes(20)) {
          await new Promise(setImmediate);
          yield mebibyte;
        }
      };
      for (let turn = 0; turn < 10 || (turn < 100 && !outcomes.has('unscannable')); turn++) {
        const scanning = scanner.scan(unhurried(), { sizeBytes: 20 * MIB, sha256: () => '' });
        outcomes.add(
          await scanning.then(
            ({ outcome }) => outcome,
            (error: typeof DOWN) => error.reason,
          ),
        );
      }
      expect(outcomes).toContain('unscannable');
      // 'error': the connection was lost once all was on its way, three times in a row.
      for (const lost of [DOWN.reason, 'error']) outcomes.delete(lost);
      expect([...outcomes]).toEqual(['unscannable']);
    });

    it('scans 40 at once', async () => {
      const contents = Array.from({ length: 40 }, (_, i) =>
        i % 2 === 0 ? randomBytes(MIB) : Buffer.concat([randomBytes(MIB), MARKER]),
      );
      const verdicts = await Promise.all(contents.map((bytes) => scan(scanner, bytes)));
      expect(verdicts.map(({ outcome }) => outcome)).toEqual(
        contents.map((_, i) => (i % 2 === 0 ? 'clean' : 'infected')),
      );
    });

    it('has a name, and no date without official signatures', async () => {
      expect(await scanner.identify()).toEqual({
        label: expect.stringMatching(/^ClamAV \d+\.\d+\.\d+$/) as unknown,
        signaturesAt: null,
      });
    });
  });

  describe('a daemon that is set up so that it cannot be trusted', () => {
    it.each<[string, Settings, readonly string[], RegExp]>([
      ['says OK to what exceeds its limits', { AlertExceedsMax: 'no' }, [], /set AlertExceedsMax yes/],
      ['says OK to what is encrypted', { AlertEncrypted: 'no' }, [], /set AlertEncrypted yes/],
      ['does not look into archives', { ScanArchive: 'no' }, [], /ScanArchive/],
      ['knows no virus', {}, ['eicar.ndb'], /freshclam/],
    ])('%s: it is down, until it is set right', async (_, settings, without, message) => {
      await using clamd = await TestClamd.start({ settings, without });
      const scanner = scannerOf(clamd);
      const refused = { ...DOWN, message: expect.stringMatching(message) as unknown };
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(refused);
      await expect(scanner.check()).rejects.toMatchObject(refused);
      await expect(scanner.identify()).rejects.toMatchObject(refused);
      if (without.length > 0) return;
      await clamd.kill();
      await clamd.run();
      expect(await scan(scanner, WORDS)).toEqual({ outcome: 'clean' });
    });

    it('is not, where it is set up as in docker/clamd.conf', async () => {
      const file = await readFile(path.resolve(import.meta.dirname, '../../../docker/clamd.conf'), 'utf8');
      const placed = ['LocalSocket', 'TCPSocket', 'User'];
      const settings = [...file.matchAll(/^(\w+) (.*)$/gm)]
        .map(([, name = '', value = '']) => [name, value] as const)
        .filter(([name]) => !placed.includes(name));
      await using clamd = await TestClamd.start({ settings: Object.fromEntries(settings) });
      await expect(scannerOf(clamd).check()).resolves.toBeUndefined();
      const bytes = Buffer.concat([randomBytes(40 * MIB), MARKER]);
      expect(await scan(scannerOf(clamd), bytes)).toMatchObject({ outcome: 'infected' });
    });

    it('is set right by any number of layers that MaxRecursion allows', async () => {
      await using clamd = await TestClamd.start({ settings: { MaxRecursion: 100 } });
      await expect(scannerOf(clamd).check()).resolves.toBeUndefined();
    });
  });

  describe('a daemon that fails', () => {
    /** Stops where it is once a MiB is on its way, and goes on when that is wanted. */
    function interrupted(count: number, deed: () => Promise<void> | void): AsyncGenerator<Buffer> {
      return (async function* () {
        yield* randomMebibytes(1);
        await deed();
        yield* randomMebibytes(count);
      })();
    }
    const LONG = { sizeBytes: 10 * MIB, sha256: () => 'of the content' };

    it('is down when it is killed, and scans again when it is back', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd);
      await expect(
        scanner.scan(
          interrupted(10, () => clamd.kill()),
          LONG,
        ),
      ).rejects.toMatchObject(DOWN);
      await expect(scan(scanner, EICAR)).rejects.toMatchObject(DOWN);
      await expect(scanner.check()).rejects.toMatchObject(DOWN);
      await clamd.run();
      expect(await scan(scanner, EICAR)).toMatchObject({ outcome: 'infected' });
    });

    it('is down twice when it dies of the same content, and the third time that is at fault', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd);
      const outcomes: string[] = [];
      for (let turn = 0; turn < 3; turn++) {
        await scanner.check();
        clamd.pause();
        const content = (async function* () {
          yield await Promise.resolve(WORDS);
          // When all was sent.
          setImmediate(() => void clamd.kill());
        })();
        const scanning = scanner.scan(content, { sizeBytes: WORDS.length, sha256: () => 'of the words' });
        outcomes.push(
          await scanning.then(
            ({ outcome }) => outcome,
            (error: typeof DOWN) => error.reason,
          ),
        );
        await clamd.run();
      }
      expect(outcomes).toEqual([DOWN.reason, DOWN.reason, 'error']);
    });

    it.each([
      ['while it is sent to', 20],
      ['when all was sent', 0],
    ])('is down when it hangs %s, and goes on when it does', async (_, mebibytes) => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd, { idleMs: 1000, replyMs: 2500, commandMs: 2500 });
      await until('it is well', () => scanner.check().then(...yes));
      const hung = scanner.scan(
        interrupted(mebibytes, () => clamd.pause()),
        LONG,
      );
      await expect(hung).rejects.toMatchObject(DOWN);
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scanner.check()).rejects.toMatchObject(DOWN);
      clamd.resume();
      const verdict = await until('it scans again', () => scan(scanner, WORDS).catch(() => null));
      expect(verdict).toEqual({ outcome: 'clean' });
    });

    it('is not taken for slow when it was this process that stood still', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd, { replyMs: 2500 });
      await until('it is well', () => scanner.check().then(...yes));
      const content = (async function* () {
        yield await Promise.resolve(WORDS);
        // When all was sent; the answer comes meanwhile.
        setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000));
      })();
      const verdict = await scanner.scan(content, { sizeBytes: WORDS.length, sha256: () => '' });
      expect(verdict).toEqual({ outcome: 'clean' });
    });

    it('is down, and no content is at fault, when it has nowhere to put what it is sent', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd);
      await scanner.check();
      await rm(clamd.temporary, { recursive: true });
      for (let turn = 0; turn < 4; turn++) {
        await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      }
    });
  });
});
