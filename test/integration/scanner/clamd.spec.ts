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
import { until } from '../../../libs/testing/src/until.js';
import { DOWN, randomMebibytes, scan } from './contents.js';

const MIB = 2 ** 20;
/** Maps success to true and failure to null. */
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

    it('finds all 44 test files of ClamAV', async () => {
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
      ['a known content', KNOWN_BAD, 'Stowage.KnownBad.UNOFFICIAL'],
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
    ])('reports %s as unscannable', async (_, make, why) => {
      expect(await scan(scanner, make())).toEqual({ outcome: 'unscannable', why });
    });

    it('scans up to MaxFileSize', async () => {
      expect(await scan(scanner, randomBytes(12 * MIB))).toEqual({ outcome: 'clean' });
    });

    it('never reports a content above StreamMaxLength as clean', async () => {
      const outcomes = new Set<string>();
      // The daemon closes with unread bytes, so its answer may be lost; slow sending leaves time to receive it.
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
      // 'error': the connection was lost three times in a row after the whole content was sent.
      for (const lost of [DOWN.reason, 'error']) outcomes.delete(lost);
      expect([...outcomes]).toEqual(['unscannable']);
    });

    it('scans 40 contents concurrently', async () => {
      const contents = Array.from({ length: 40 }, (_, i) =>
        i % 2 === 0 ? randomBytes(MIB) : Buffer.concat([randomBytes(MIB), MARKER]),
      );
      const verdicts = await Promise.all(contents.map((bytes) => scan(scanner, bytes)));
      expect(verdicts.map(({ outcome }) => outcome)).toEqual(
        contents.map((_, i) => (i % 2 === 0 ? 'clean' : 'infected')),
      );
    });

    it('returns a label, and no date without official signatures', async () => {
      expect(await scanner.identify()).toEqual({
        label: expect.stringMatching(/^ClamAV \d+\.\d+\.\d+$/) as unknown,
        signaturesAt: null,
      });
    });
  });

  describe('a misconfigured daemon', () => {
    it.each<[string, Settings, readonly string[], RegExp]>([
      [
        'reports content beyond its limits as clean',
        { AlertExceedsMax: 'no' },
        [],
        /set AlertExceedsMax yes/,
      ],
      ['reports encrypted content as clean', { AlertEncrypted: 'no' }, [], /set AlertEncrypted yes/],
      ['does not scan archives', { ScanArchive: 'no' }, [], /ScanArchive/],
      ['has no signatures', {}, ['eicar.ndb'], /freshclam/],
    ])('is unavailable until it is reconfigured if it %s', async (_, settings, without, message) => {
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

    it('is not the result of docker/clamd.conf', async () => {
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

    it('is not assumed for a high MaxRecursion', async () => {
      await using clamd = await TestClamd.start({ settings: { MaxRecursion: 100 } });
      await expect(scannerOf(clamd).check()).resolves.toBeUndefined();
    });
  });

  describe('a failing daemon', () => {
    /** Yields 1 MiB, runs `action`, then yields `count` MiB more. */
    function interrupted(count: number, action: () => Promise<void> | void): AsyncGenerator<Buffer> {
      return (async function* () {
        yield* randomMebibytes(1);
        await action();
        yield* randomMebibytes(count);
      })();
    }
    const LONG = { sizeBytes: 10 * MIB, sha256: () => 'of the content' };

    it('is unavailable when it is killed and scans again after its restart', async () => {
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

    it('is unavailable twice when one content kills it, and blames the content the third time', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd);
      const outcomes: string[] = [];
      for (let turn = 0; turn < 3; turn++) {
        await scanner.check();
        clamd.pause();
        const content = (async function* () {
          yield await Promise.resolve(WORDS);
          // After the whole content was sent.
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
      ['during sending', 20],
      ['after sending', 0],
    ])('is unavailable when it hangs %s and scans again when it resumes', async (_, mebibytes) => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd, { idleMs: 1000, replyMs: 2500, commandMs: 2500 });
      await until('the daemon is healthy', () => scanner.check().then(...yes));
      const hung = scanner.scan(
        interrupted(mebibytes, () => clamd.pause()),
        LONG,
      );
      await expect(hung).rejects.toMatchObject(DOWN);
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scanner.check()).rejects.toMatchObject(DOWN);
      clamd.resume();
      const verdict = await until('the daemon scans again', () => scan(scanner, WORDS).catch(() => null));
      expect(verdict).toEqual({ outcome: 'clean' });
    });

    it('does not time out while this process itself is blocked', async () => {
      await using clamd = await TestClamd.start();
      const scanner = scannerOf(clamd, { replyMs: 2500 });
      await until('the daemon is healthy', () => scanner.check().then(...yes));
      const content = (async function* () {
        yield await Promise.resolve(WORDS);
        // After the whole content was sent; the answer arrives meanwhile.
        setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000));
      })();
      const verdict = await scanner.scan(content, { sizeBytes: WORDS.length, sha256: () => '' });
      expect(verdict).toEqual({ outcome: 'clean' });
    });

    it('is unavailable without blaming the content when its temporary folder is missing', async () => {
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
