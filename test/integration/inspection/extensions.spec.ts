import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { type ContentCheck, type FileReader, InspectionExtensions, Inspector } from '#libs/inspection';
import { startInspection } from './inspection.js';

/** A niced process on a busy machine takes long to get its seconds of CPU time. */
const TIMEOUT_MS = 600_000;
const each = {
  id: 'tracks',
  revision: 1,
  types: /^text\//,
  module: new URL('./feature-module.ts', import.meta.url),
};
const reader: FileReader = {
  ...each,
  seconds: 3600,
  properties: {
    trackLengthMeters: { type: 'float', min: 0, max: 1e9 },
    name: { type: 'text', maxLength: 20 },
    isLoop: { type: 'boolean' },
  },
};
const contentCheck: ContentCheck = { ...each, seconds: 3600, reasons: ['TRACKS_REFUSED'] };
/** A limit that a busy machine exceeds with any file. */
const brief = { id: 'brief', seconds: 1 };
const withoutExports = { ...each, module: new URL('../../support/ts-resolve.mjs', import.meta.url) };

/** Real: the processes, their isolation and the channel. The modules belong to the test. */
describe('modules of features', () => {
  const spoolFolder = mkdtempSync(path.join(tmpdir(), 'spool-'));
  let module: TestingModule;
  let inspector: Inspector;
  let extensions: InspectionExtensions;

  beforeAll(async () => {
    await chmod(spoolFolder, 0o711);
    extensions = new InspectionExtensions({
      readers: [
        reader,
        { ...withoutExports, id: 'empty', properties: reader.properties },
        { ...reader, ...brief },
      ],
      checks: [contentCheck, { ...contentCheck, ...brief }],
    });
    module = await startInspection(spoolFolder, { seconds: 600 }, extensions);
    inspector = module.get(Inspector);
  });
  afterAll(async () => {
    await module?.close();
    rmSync(spoolFolder, { recursive: true });
  });

  function fileOf(content: string) {
    const file = path.join(spoolFolder, crypto.randomUUID());
    writeFileSync(file, content, { mode: 0o644 });
    return { path: file, sizeBytes: content.length, mediaType: 'text/csv' };
  }
  const read = (behaviour: string, at = 0, signal?: AbortSignal) =>
    inspector.read(extensions.readers[at]!, fileOf(`read ${behaviour}`), signal);
  const objectionTo = (behaviour: string, at = 0) =>
    inspector.findObjection(extensions.checks[at]!, fileOf(`check ${behaviour}`));

  it('give properties of the declared types and bounds', async () => {
    expect(await read('length 12.5')).toEqual({
      properties: { trackLengthMeters: 12.5, name: 'a track' },
      dropped: 0,
    });
    expect(await read('nothing')).toEqual({ properties: {}, dropped: 0 });
    expect(await read('hostile')).toEqual({
      properties: { name: `a name${'x'.repeat(14)}`, isLoop: true },
      dropped: 3,
    });
  });

  it('learn size and type of the file, and read its bytes within bounds', async () => {
    expect(await read('type')).toMatchObject({ properties: { name: 'text/csv 9' } });
    expect(await read('outside')).toMatchObject({ properties: { trackLengthMeters: 2 } });
    await expect(read('greedy')).rejects.toThrow(/RangeError/);
    await expect(read('endless')).rejects.toThrow(/RangeError/);
  });

  it.each([
    ['exit', /exit code 7/],
    ['throw', /TypeError/],
    ['null', /nonsense/],
    ['text', /nonsense/],
    ['huge', /no answer/],
  ])('fail one file alone when they %s', async (behaviour, message) => {
    await expect(read(behaviour)).rejects.toThrow(message);
    await expect(read(behaviour)).rejects.toMatchObject({ isExhausted: false });
    expect(await read('length 1')).toMatchObject({ properties: { trackLengthMeters: 1 } });
  });

  it('fail when the module lacks the function', async () => {
    await expect(read('nothing', 1)).rejects.toThrow(/TypeError/);
  });

  it('cannot read other files', async () => {
    await expect(read('steal')).rejects.toThrow(/ERR_ACCESS_DENIED/);
  });

  it(
    'are ended at their time limit',
    async () => {
      await expect(read('loop', 2)).rejects.toMatchObject({ isExhausted: true });
      await expect(objectionTo('loop', 1)).rejects.toMatchObject({ isExhausted: true });
    },
    TIMEOUT_MS,
  );

  it('run in processes of their own, so that they delay no inspection', async () => {
    const aborting = new AbortController();
    const waiting = read('wait', 0, aborting.signal);
    const { mediaType: detected, ...file } = fileOf('text');
    const found = await inspector.inspect({ ...file, detected, profiles: [] });
    expect(found).toMatchObject({ refusal: null, opaque: null });
    aborting.abort(new Error('the test has ended'));
    await expect(waiting).rejects.toThrow('the test has ended');
  });

  it('refuse a file for a declared reason alone', async () => {
    expect(await objectionTo('')).toBeNull();
    expect(await objectionTo('refuse')).toEqual({ reason: 'TRACKS_REFUSED', message: 'Not accepted' });
    expect(await objectionTo('silent')).toEqual({
      reason: 'TRACKS_REFUSED',
      message: 'The file is not accepted.',
    });
    for (const behaviour of ['undeclared', 'core', 'true', 'missing']) {
      await expect(objectionTo(behaviour)).rejects.toThrow(/nonsense/);
    }
  });
});
