import { describe, expect, it } from '@jest/globals';
import { configurationOf, defineFeature, verifyCompatibility } from './feature.js';

class AlbumsConfig {}

describe('defineFeature', () => {
  it.each([
    ['albums', '^0.1'],
    ['photo-albums', '>=0.1 <2 || ^3'],
  ])('accepts %s for %s', (name, compatibility) => {
    expect(defineFeature({ name, compatibility })).toEqual({ name, compatibility });
  });

  it.each([
    ['Albums', '^0.1', 'The feature name Albums must be in lower case'],
    ['photo_albums', '^0.1', 'The feature name photo_albums must be in lower case'],
    ['albums', 'new', 'The feature albums has an invalid range of releases: new'],
  ])('refuses %s for %s', (name, compatibility, message) => {
    expect(() => defineFeature({ name, compatibility })).toThrow(message);
  });
});

describe('verifyCompatibility', () => {
  const feature = (name: string, compatibility = '^0.2') => defineFeature({ name, compatibility });

  it.each(['0.2.0', '0.2.7', '0.2.1-beta.1'])('accepts release %s for ^0.2', (release) => {
    expect(() => verifyCompatibility([feature('albums'), feature('books')], release)).not.toThrow();
  });

  it.each(['0.1.9', '0.3.0', '1.0.0'])('refuses release %s for ^0.2', (release) => {
    expect(() => verifyCompatibility([feature('albums')], release)).toThrow(
      `The feature albums needs Stowage ^0.2, but this is ${release}.`,
    );
  });

  it('compares with the release of this program', () => {
    expect(() => verifyCompatibility([feature('albums', '>=99')])).toThrow(
      'needs Stowage >=99, but this is 0.',
    );
  });

  it('refuses two features of one name', () => {
    expect(() => verifyCompatibility([feature('albums'), feature('albums')], '0.2.0')).toThrow(
      'Two features are named albums.',
    );
  });
});

describe('configurationOf', () => {
  it('names the classes of each feature by feature', () => {
    const feature = (name: string) =>
      defineFeature({ name, compatibility: '^0.1', configuration: [AlbumsConfig] });
    expect(configurationOf([feature('albums'), feature('books')])).toEqual({
      'albums.AlbumsConfig': AlbumsConfig,
      'books.AlbumsConfig': AlbumsConfig,
    });
    expect(configurationOf([])).toEqual({});
  });
});
