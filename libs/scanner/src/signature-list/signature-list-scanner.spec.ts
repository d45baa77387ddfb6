import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scannerContract } from '../testing/index.js';
import { EICAR } from '../eicar.js';
import { readMalwareHashes } from './malware-hashes.js';
import { SignatureListScanner } from './signature-list-scanner.js';

const sha256Of = (text: string | Buffer) => createHash('sha256').update(text).digest('hex');
const scan = (scanner: SignatureListScanner, bytes: Buffer) =>
  scanner.scan(
    (async function* () {
      yield await Promise.resolve(bytes);
    })(),
    { sizeBytes: bytes.length, sha256: () => sha256Of(bytes) },
  );

scannerContract('SignatureListScanner', () => Promise.resolve({ scanner: new SignatureListScanner() }));

describe('SignatureListScanner', () => {
  const named = { sha256: sha256Of('bad'), name: 'Bad.Words' };
  const unnamed = { sha256: sha256Of('worse'), name: undefined };
  const scanner = new SignatureListScanner([named, unnamed]);

  it.each([
    ['bad', { outcome: 'infected', signature: 'Bad.Words' }],
    ['worse', { outcome: 'infected', signature: `SHA-256 ${unnamed.sha256}` }],
    ['bad ', { outcome: 'clean' }],
  ])('detects the hashes of its list: %j', async (text, verdict) => {
    expect(await scan(scanner, Buffer.from(text))).toEqual(verdict);
  });

  it.each([
    [
      'white space up to 128 bytes',
      Buffer.concat([EICAR, Buffer.from(' \t\r\n\x1a'.repeat(12))]),
      'infected',
    ],
    ['white space beyond 128 bytes', Buffer.concat([EICAR, Buffer.from(' \t\r\n\x1a '.repeat(12))]), 'clean'],
    ['other bytes after it', Buffer.concat([EICAR, Buffer.from('x')]), 'clean'],
    ['a byte before it', Buffer.concat([Buffer.from(' '), EICAR]), 'clean'],
    ['its last byte missing', EICAR.subarray(0, 67), 'clean'],
  ])('scans the EICAR test file with %s', async (_, bytes, outcome) => {
    expect(await scan(scanner, bytes)).toMatchObject({ outcome });
  });

  it('labels itself as no antivirus, with a different label for each list', async () => {
    const labels = await Promise.all(
      [[], [named], [unnamed], [named, unnamed], [{ ...named, name: 'Other' }]].map(async (hashes) => {
        const { label } = await new SignatureListScanner(hashes).identify();
        return label;
      }),
    );
    expect(labels[0]).toMatch(/^signature list \(no antivirus\), 0 hashes, [0-9a-f]{12}$/);
    expect(new Set(labels).size).toBe(labels.length);
  });

  it('has a label that does not depend on the order of the list', async () => {
    const { label } = await scanner.identify();
    expect(await new SignatureListScanner([unnamed, named]).identify()).toMatchObject({ label });
  });
});

describe('readMalwareHashes', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stowage-hashes-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const fileWith = async (text: string) => {
    const file = path.join(folder, 'list');
    await writeFile(file, text);
    return file;
  };

  it('reads hashes with and without names', async () => {
    const [one, two, three] = [sha256Of('1'), sha256Of('2'), sha256Of('3')];
    const text = `\ufeff# ours\r\n${one}\r\n\n  ${two.toUpperCase()}  A name of words \n${three}\tTabbed`;
    expect(await readMalwareHashes(await fileWith(text))).toEqual([
      { sha256: one, name: undefined },
      { sha256: two, name: 'A name of words' },
      { sha256: three, name: 'Tabbed' },
    ]);
    expect(await readMalwareHashes(await fileWith(''))).toEqual([]);
  });

  it.each([
    ['63 digits', 'a'.repeat(63)],
    ['65 digits', 'a'.repeat(65)],
    ['no hex', 'g'.repeat(64)],
    ['an MD5', `${'a'.repeat(32)} name`],
  ])('rejects a list with an invalid line: %s', async (_, line) => {
    const file = await fileWith(`${sha256Of('1')}\n${line}\n`);
    await expect(readMalwareHashes(file)).rejects.toThrow(
      /^Line 2 of the list of malware hashes, .*SHA-256\.$/,
    );
  });

  it('reports a missing file in one sentence', async () => {
    await expect(readMalwareHashes(path.join(folder, 'none'))).rejects.toThrow(
      /^The list of malware hashes cannot be read: ENOENT.*\.$/,
    );
  });
});
