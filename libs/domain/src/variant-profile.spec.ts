import { describe, expect, it } from '@jest/globals';
import { DEFAULT_PROFILES, parseProfiles, specOf, specsOf } from './variant-profile.js';

describe('variant profiles', () => {
  it('are parsed from their configuration', () => {
    expect(parseProfiles(DEFAULT_PROFILES)).toEqual([
      { name: 'small', format: 'webp', width: 320, height: 320, fit: 'inside', quality: 80 },
      { name: 'large', format: 'webp', width: 1280, height: 1280, fit: 'inside', quality: 80 },
    ]);
    expect(parseProfiles([])).toEqual([]);
  });

  it.each([
    ['webp:320:80', { width: 320, height: 320, fit: 'inside' }, 'webp-320-q80-r1'],
    ['jpeg:64x64:50', { width: 64, height: 64, fit: 'inside' }, 'jpeg-64-q50-r1'],
    ['avif:64x48:50:inside', { width: 64, height: 48, fit: 'inside' }, 'avif-64x48-inside-q50-r1'],
    ['webp:600x400:80:cover', { width: 600, height: 400, fit: 'cover' }, 'webp-600x400-cover-q80-r1'],
    ['webp:600:80:cover', { width: 600, height: 600, fit: 'cover' }, 'webp-600x600-cover-q80-r1'],
  ])('are parsed with their box and keep their specification: %s', (text, parsed, spec) => {
    const [profile] = parseProfiles([`a=${text}`]);
    expect(profile).toMatchObject(parsed);
    expect(specOf(profile!)).toBe(spec);
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
    ['a height of zero', ['a=webp:320x0:80:cover']],
    ['a height above the maximum', ['a=webp:320x8193:80:cover']],
    ['another fit', ['a=webp:320x320:80:fill']],
    ['a quality above 100', ['a=webp:320:101']],
    ['a name that is not valid in a URL', ['../a=webp:320:80']],
    ['a duplicate name', ['a=webp:320:80', 'a=webp:64:80']],
    ['a duplicate specification', ['a=webp:320:80', 'b=webp:320:80']],
    ['a duplicate specification in another form', ['a=webp:320:80', 'b=webp:320x320:80:inside']],
    ['too many profiles', Array.from({ length: 17 }, (_, at) => `p${at}=webp:${at + 1}:80`)],
  ])('are rejected: %s', (_, texts) => {
    expect(() => parseProfiles(texts)).toThrow(expect.objectContaining({ reason: 'PROFILE_INVALID' }));
  });

  it('fit into their column at the maximum number', () => {
    const texts = Array.from({ length: 16 }, (_, at) => `p${at}=webp:8192x${8191 - at}:100:inside`);
    expect(specsOf(parseProfiles(texts)).length).toBeLessThanOrEqual(512);
  });
});
