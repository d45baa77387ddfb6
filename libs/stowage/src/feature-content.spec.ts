import { describe, expect, it } from '@jest/globals';
import { DEFAULT_PROFILES, type FeatureReason, parseProfiles } from '#libs/domain';
import { defineFeature, type Feature } from './feature.js';
import { extensionsOf, profilesOf } from './feature-content.js';

const module = new URL('./feature.js', import.meta.url);
const feature = (more: Partial<Feature> = {}) =>
  defineFeature({ name: 'photo-albums', compatibility: '*', ...more });
const checkWith = (reason: FeatureReason) => ({
  ...{ id: 'photos', revision: 1, types: /^image/, module },
  reasons: [reason],
});
const configured = parseProfiles(DEFAULT_PROFILES);

describe('readers, checks and variants of features', () => {
  it('are those of all features', () => {
    const properties = { a: { type: 'boolean' } } as const;
    const readers = [{ id: 'gpx', revision: 1, types: /x/, module, properties }];
    const features = [
      feature({ readers, variants: ['cover=webp:600x600:80:cover'] }),
      feature({ name: 'b', contentChecks: [checkWith('B_NO')] }),
    ];
    const { readerLabel, checkLabels } = extensionsOf(features);
    expect([readerLabel, checkLabels]).toEqual(['gpx@1', ['photos@1']]);
    expect(profilesOf(configured, features).map(({ name }) => name)).toEqual(['small', 'large', 'cover']);
    expect(profilesOf(configured, [])).toEqual(configured);
    expect(extensionsOf([]).isEmpty).toBe(true);
  });

  it('are refused if a reason does not name its feature, or two features use one id', () => {
    const refuse = (...features: Feature[]) => expect(() => extensionsOf(features));
    extensionsOf([feature({ contentChecks: [checkWith('PHOTO_ALBUMS_NO')] })]);
    refuse(feature({ contentChecks: [checkWith('ALBUMS_NO')] })).toThrow(
      'The reason ALBUMS_NO of the feature photo-albums must begin with PHOTO_ALBUMS_.',
    );
    refuse(
      feature({ name: 'a', contentChecks: [checkWith('A_NO')] }),
      feature({ name: 'b', contentChecks: [checkWith('B_NO')] }),
    ).toThrow('The content check photos is declared twice.');
  });

  it.each([
    ['the name of a configured one', ['small=webp:64:80'], 'named small'],
    ['the specification of a configured one', ['tiny=webp:320:80'], 'specification webp-320-q80-r1'],
    ['an invalid form', ['cover'], 'must have the form'],
    ['too many', Array.from({ length: 15 }, (_, at) => `p${at}=webp:${at + 1}:80`), 'At most 16'],
  ])('are refused for a variant with %s', (_, variants, message) => {
    expect(() => profilesOf(configured, [feature({ variants })])).toThrow(message);
  });
});
