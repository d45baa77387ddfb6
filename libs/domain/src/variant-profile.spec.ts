import { describe, expect, it } from '@jest/globals';
import { DEFAULT_PROFILES, parseProfiles, specOf, specsOf } from './variant-profile.js';

describe('variant profiles', () => {
  it('are written as they are configured', () => {
    expect(parseProfiles(DEFAULT_PROFILES)).toEqual([
      { name: 'small', format: 'webp', maxSide: 320, quality: 80 },
      { name: 'large', format: 'webp', maxSide: 1280, quality: 80 },
    ]);
    expect(parseProfiles([])).toEqual([]);
  });

  it('have one specification in whatever order they come, and another when they are called otherwise', () => {
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
    ['a size beyond what is a variant', ['a=webp:8193:80']],
    ['a quality above all', ['a=webp:320:101']],
    ['a name that is part of no URL', ['../a=webp:320:80']],
    ['a name twice', ['a=webp:320:80', 'a=webp:64:80']],
    ['a picture twice', ['a=webp:320:80', 'b=webp:320:80']],
    ['too many', Array.from({ length: 17 }, (_, at) => `p${at}=webp:${at + 1}:80`)],
  ])('are refused: %s', (_, texts) => {
    expect(() => parseProfiles(texts)).toThrow(expect.objectContaining({ reason: 'PROFILE_INVALID' }));
  });

  it('fit into their column, as many as there may be', () => {
    const texts = Array.from({ length: 16 }, (_, at) => `p${at}=webp:${8192 - at}:100`);
    expect(specsOf(parseProfiles(texts)).length).toBeLessThanOrEqual(512);
  });
});
