import { describe, expect, it } from '@jest/globals';
import { StowageError } from '#libs/domain';
import type { Asset } from './asset.js';
import { AssetDraft, type AssetUpdate, parseAssetUpdate } from './asset-draft.js';

const draftOf = (metadata: Record<string, string | null> = {}) =>
  new AssetDraft({ id: 'id', filename: 'a.txt' } as Asset, new Map(Object.entries(metadata)));
const entry = (key: string, value = 'v') => ({ key, value });
const entries = (count: number) => Array.from({ length: count }, (_, index) => entry(`k${index}`));

function differenceAfter(draft: AssetDraft, ...updates: Omit<AssetUpdate, 'id'>[]) {
  for (const update of updates) draft.apply(parseAssetUpdate({ id: 'id', ...update }));
  return draft.difference;
}

function refusalOf(update: Omit<AssetUpdate, 'id'>): Pick<StowageError, 'reason' | 'inputPath'> {
  try {
    parseAssetUpdate({ id: 'id', ...update });
  } catch (error) {
    if (error instanceof StowageError) return { reason: error.reason, inputPath: error.inputPath };
  }
  throw new Error('the update was accepted');
}

describe('draft of an asset', () => {
  it('contains only what differs from the stored asset', () => {
    expect(differenceAfter(draftOf({ a: '1' }))).toBeNull();
    const repeat = { filename: 'a.txt', setMetadata: [entry('a', '1')], removeMetadata: ['b'] };
    expect(differenceAfter(draftOf({ a: '1', c: null }), repeat)).toBeNull();
    expect(differenceAfter(draftOf({ a: '1', b: null }), { ...repeat, filename: 'b.txt' })).toEqual({
      id: 'id',
      filename: 'b.txt',
      set: [],
      remove: ['b'],
    });
  });

  it('applies updates in order', () => {
    const first = { filename: 'b.txt', setMetadata: [entry('a', '2'), entry('b')] };
    const back = { filename: 'a.txt', setMetadata: [entry('a', '1')], removeMetadata: ['b'] };
    expect(differenceAfter(draftOf({ a: '1' }), first, back)).toBeNull();
    expect(differenceAfter(draftOf({ a: '1' }), back, first)).toMatchObject({ set: first.setMetadata });
  });

  it('refuses more than 64 entries after the update, and none of the update is applied', () => {
    const draft = draftOf(Object.fromEntries(entries(64).map(({ key, value }) => [key, value])));
    const update = parseAssetUpdate({ id: 'id', filename: 'b.txt', setMetadata: [entry('new')] });
    expect(() => draft.apply(update)).toThrow('at most 64');
    expect(draft.difference).toBeNull();
    expect(differenceAfter(draft, { setMetadata: [entry('new')], removeMetadata: ['k0'] })).toMatchObject({
      set: [entry('new')],
      remove: ['k0'],
    });
  });
});

it.each([
  [{ filename: '' }, 'FILENAME_INVALID', ['filename']],
  [{ filename: '../etc/passwd' }, 'FILENAME_INVALID', ['filename']],
  [{ filename: 'a\r\nSet-Cookie: b' }, 'FILENAME_INVALID', ['filename']],
  [{ filename: 'gpj.\u202eexe' }, 'FILENAME_INVALID', ['filename']],
  [{ filename: 'ü'.repeat(128) }, 'FILENAME_INVALID', ['filename']],
  [{ setMetadata: entries(65) }, 'METADATA_INVALID', ['setMetadata']],
  [{ setMetadata: [entry('a'), entry('a')] }, 'METADATA_INVALID', ['setMetadata', 1, 'key']],
  [{ setMetadata: [entry('k'.repeat(65))] }, 'METADATA_INVALID', ['setMetadata', 0, 'key']],
  [{ setMetadata: [entry('a', 'v'.repeat(4097))] }, 'METADATA_INVALID', ['setMetadata', 0, 'value']],
  [{ setMetadata: [entry('a', '\0')] }, 'METADATA_INVALID', ['setMetadata', 0, 'value']],
  [{ setMetadata: [entry('a', '\ud800')] }, 'METADATA_INVALID', ['setMetadata', 0, 'value']],
  [{ removeMetadata: ['a', 'a'] }, 'METADATA_INVALID', ['removeMetadata', 1]],
  [{ removeMetadata: ['a b'] }, 'METADATA_INVALID', ['removeMetadata', 0]],
  [
    { removeMetadata: Array.from({ length: 65 }, (_, index) => `k${index}`) },
    'METADATA_INVALID',
    ['removeMetadata'],
  ],
  [{ setMetadata: [entry('a')], removeMetadata: ['a'] }, 'METADATA_INVALID', ['removeMetadata', 0]],
])('rejects the update %# with %s at its path', (update, reason, path) => {
  expect(refusalOf(update)).toEqual({ reason, inputPath: ['input', ...path] });
});
