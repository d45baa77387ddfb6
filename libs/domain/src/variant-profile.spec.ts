import { describe, expect, it } from '@jest/globals';
import { DEFAULT_PROFILES, parseProfiles, specOf, specsOf } from './variant-profile.js';

describe('variant profiles', () => {
  it('are parsed from their configuration', () => {
    expect(parseProfiles(DEFAULT_PROFILES)).toEqual([
      { name: 'small', format: 'webp', maxSide: 320, quality: 80 },
      { name: 'large', format: 'webp', maxSide: 1280, quality: 80 },
    ]);
    expect(parseProfiles([])).toEqual([]);
  });

  it('have a specification text that depends on names and parameters but not on order', () => {
    const texts = ['a=webp:320:80', 'b=jpeg:64:50'];
    const one = parseProfiles(texts);
    expect(specsOf(parseProfiles(texts.toReversed()))).toBe(specsOf(one));
    expect(specsOf(parseProfiles(['b=webp:320:80', 'a=jpeg:64:50']))).not.toBe(specsOf(one));
    expect(specOf({ ...one[0]!, name: 'x' })).toBe(specOf(one[0]!));
    expect(specsOf([])).toBe('');
    expect(specOf(one[0]!)).not.toBe(specOf(parseProfiles(['a=webp:320:81'])[0]!));
  });

  it.each([
    ['a name alone', ['small']],
    ['another format', ['a=gif:320:80']],
    ['no size', ['a=webp:0:80']],
    ['a size above the maximum', ['a=webp:8193:80']],
    ['a quality above 100', ['a=webp:320:101']],
    ['a name that is not valid in a URL', ['../a=webp:320:80']],
    ['a duplicate name', ['a=webp:320:80', 'a=webp:64:80']],
    ['a duplicate specification', ['a=webp:320:80', 'b=webp:320:80']],
    ['too many profiles', Array.from({ length: 17 }, (_, at) => `p${at}=webp:${at + 1}:80`)],
  ])('are rejected: %s', (_, texts) => {
    expect(() => parseProfiles(texts)).toThrow(expect.objectContaining({ reason: 'PROFILE_INVALID' }));
  });

  it('fit into their column at the maximum number', () => {
    const texts = Array.from({ length: 16 }, (_, at) => `p${at}=webp:${8192 - at}:100`);
    expect(specsOf(parseProfiles(texts)).length).toBeLessThanOrEqual(512);
  });
});
