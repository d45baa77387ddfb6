import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { supportedMimeTypes } from 'file-type';
import { InspectionExtensions } from '../../extensions.js';
import { InspectedTypes } from '../../inspected-types.js';
import { zipArchive } from '../../testing/index.js';
import { READERS, readersOf } from './index.js';

const folder = mkdtempSync(path.join(tmpdir(), 'guards-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LIMITS = { maxPixels: 1, maxFrames: 1, ffprobe: null };
const extra = Buffer.from('01000000', 'hex');
const hidden = zipArchive([{ name: 'a', content: 'a', central: { extra } }], { before: 'anything' });
const file = path.join(folder, 'file');
writeFileSync(file, hidden);

/** Returns the objections of the guards to a file that ends with an archive that scanners skip. */
async function objectionsTo(detected: string, readers = READERS) {
  const guards = readersOf(detected, readers).filter(({ isGuard }) => isGuard);
  const request = { path: file, sizeBytes: hidden.length, detected, profiles: [] };
  const found = await Promise.all(guards.map(async ({ load }) => (await load()).read(request, LIMITS)));
  return found.map(({ refusal, opaque }) => refusal?.code ?? opaque);
}

const types = new InspectedTypes(new InspectionExtensions());
const inspected = [...supportedMimeTypes].filter((type) => types.isInspected(type));

describe('the guard of an inspected file', () => {
  it('exists for every inspected type', () => {
    expect(inspected).toEqual(expect.arrayContaining(['application/ogg', 'application/vnd.ms-asf']));
    const guarded = inspected.filter((type) =>
      READERS.some(({ types, isGuard }) => isGuard === true && types.test(type)),
    );
    expect(guarded).toEqual(inspected);
  });

  it.each(inspected)('detects an archive behind %s', async (type) => {
    expect(await objectionsTo(type)).toEqual([expect.any(String)]);
  });

  it('falls back to the default guard for other types', async () => {
    const reader = { types: /^a\/b$/, load: () => Promise.reject(new Error('not a guard')) };
    expect(readersOf('a/b', [...READERS, reader])).toContain(reader);
    expect(await objectionsTo('a/b', [...READERS, reader])).toEqual([expect.stringContaining('as well')]);
    expect(await objectionsTo('a/c')).toEqual([expect.stringContaining('as well')]);
  });
});
