/** Real: pdf.js. */
import { open, rm } from 'node:fs/promises';
import { expect, it } from '@jest/globals';
import { fileOf, readBytes, readFileWith, countCpuTimeChecks, useFolder } from './readers.harness.js';
import * as samples from './samples.js';

useFolder();

const MEBIBYTE = 2 ** 20;

it('reads the page count and the title of a PDF', async () => {
  expect(await readBytes(samples.pdf(3, 'Report'))).toEqual({
    properties: { pageCount: 3, title: 'Report' },
  });
  expect(await readBytes(samples.pdf(1, '\xfe\xff\0G\0r\0\xfc\0\n\0 '))).toEqual({
    properties: { pageCount: 1, title: 'Grü' },
  });
  expect(await readBytes(samples.pdf(200, ''))).toEqual({ properties: { pageCount: 200 } });
});

it('repairs a PDF whose cross-reference table is lost', async () => {
  const bytes = samples
    .pdf(2, 'Report')
    .toString('latin1')
    .replace(/xref\n0[\s\S]*?(?=trailer)/, '');
  expect(await readBytes(Buffer.from(bytes, 'latin1'))).toEqual({
    properties: { pageCount: 2, title: 'Report' },
  });
});

it('reports a password-protected PDF as opaque and finds nothing in a truncated one', async () => {
  const key = '00'.repeat(32);
  const locked = `/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${key}> /U <${key}> >>`;
  expect(await readBytes(samples.pdf(2, 'Secret', locked))).toEqual({
    opaque: 'it is encrypted; remove its password and upload it again',
  });
  expect(await readBytes(samples.pdf(2, 'Report').subarray(0, 100))).toEqual({});
  expect(await readBytes(Buffer.from('%PDF-1.7\n'))).toEqual({});
});

/** Writes a sparse file whose cross-reference table is at `sizeBytes`; `gap` starts the hole: an object or blanks. */
async function large(bytes: Buffer, sizeBytes: number, gap = '9 0 obj << >> stream\n'): Promise<string> {
  const start = bytes.lastIndexOf('xref\n0');
  const path = await fileOf(Buffer.concat([bytes.subarray(0, start), Buffer.from(gap)]));
  const file = await open(path, 'r+');
  const tail = bytes.toString('latin1', start).replace(/startxref\n\d+/, `startxref\n${sizeBytes}`);
  await file.write(Buffer.from(tail, 'latin1'), 0, tail.length, sizeBytes);
  await file.close();
  return path;
}

it('reads only the end of a PDF, however large the file is', async () => {
  const bytes = samples.pdf(2, 'Large');
  const path = await large(bytes, 800 * MEBIBYTE);
  const before = process.memoryUsage().rss;
  expect(await readFileWith(path, bytes)).toEqual({ properties: { pageCount: 2, title: 'Large' } });
  expect((process.memoryUsage().rss - before) / MEBIBYTE).toBeLessThan(100);
  await rm(path);
});

it.each<[string, string, string | undefined]>([
  ['no startxref keyword', 'startxref', undefined],
  ['no cross-reference table', 'xref\n0', undefined],
  ['only blanks before its end', '%%EOF', ' '],
])('gives up early on a large PDF with %s', async (_, word, gap) => {
  const size = 400 * MEBIBYTE;
  const bytes = samples.pdf(2, 'Large');
  const path = await large(bytes, size, gap);
  const file = await open(path, 'r+');
  const { buffer } = await file.read(Buffer.alloc(1000), 0, 1000, size);
  await file.write('x'.repeat(word.length), size + buffer.lastIndexOf(word), 'latin1');
  await file.close();
  const checks = await countCpuTimeChecks(async () => expect(await readFileWith(path, bytes)).toEqual({}));
  expect([1, 2, 3, 4, 5, 6]).toContain(checks);
  await rm(path);
});
