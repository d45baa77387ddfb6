import { describe, expect, it } from '@jest/globals';
import { NO_PROPERTIES } from '#libs/domain';
import { toDetected, toFlag, toInspection } from './answer.js';

const profile = { name: 'small', format: 'webp', maxSide: 320, quality: 80 } as const;
const request = { path: '/spool/x', sizeBytes: 1, detected: 'image/png', profiles: [profile] };
const honest = {
  detected: 'image/png',
  properties: {
    ...{ width: 3, height: 2, title: 'A title' },
    ...{ takenAt: '1970-01-01T00:00:00.000Z', takenAtLocal: '1970-01-01T02:00:00' },
  },
  renditions: [{ profile: { ...profile }, width: 3, height: 2, bytes: Buffer.from('x') }],
  variantsReason: null,
  refusal: null,
  opaque: null,
};

describe('what a child says', () => {
  it('is taken when it is an answer', () => {
    const { properties, renditions, ...rest } = toInspection(honest, request);
    expect(rest).toEqual({ detected: 'image/png', variantsReason: null, refusal: null, opaque: null });
    expect(properties).toEqual({ ...NO_PROPERTIES, ...honest.properties, takenAt: new Date(0) });
    // Not the child's idea of the profile.
    expect(renditions[0]?.profile).toBe(profile);
  });

  it.each([
    ['nothing', undefined],
    ['text', 'x'],
    ['no renditions', { ...honest, renditions: null }],
    [
      'a profile that nobody asked for',
      { ...honest, renditions: [{ ...honest.renditions[0], profile: { name: 'x' } }] },
    ],
    ['more than was asked for', { ...honest, renditions: [honest.renditions[0], honest.renditions[0]] }],
    ['a rendition without bytes', { ...honest, renditions: [{ ...honest.renditions[0], bytes: 'x' }] }],
    ['a rendition without width', { ...honest, renditions: [{ ...honest.renditions[0], width: -1 }] }],
    ['a refusal of its own', { ...honest, refusal: { code: 'INFECTED', message: '' } }],
    ['a reason of its own', { ...honest, variantsReason: '<script>' }],
    ['a type that is none', { ...honest, detected: 'image/png\r\nset-cookie: x' }],
  ])('is refused when it is %s', (_, said) => {
    expect(() => toInspection(said, request)).toThrow(/nonsense/);
  });

  it('loses properties that are none', () => {
    const properties = {
      ...{ width: -1, height: 1.5, durationSeconds: Infinity, pageCount: '1', takenAt: 'yesterday' },
      ...{ takenAtLocal: '1970-02-30T00:00:00' },
      ...{ hasLocation: 1, latitude: '0', title: '\u0000 \n', cameraMake: {}, unknown: 1, __proto__: null },
    };
    expect(toInspection({ ...honest, properties }, request).properties).toEqual(NO_PROPERTIES);
  });

  it('is true or false', () => {
    expect([toFlag(true), toFlag(false)]).toEqual([true, false]);
    for (const said of [undefined, null, 0, 'true']) expect(() => toFlag(said)).toThrow(/nonsense/);
  });

  it('is a media type or null', () => {
    expect(toDetected(null)).toBeNull();
    expect(toDetected('audio/ogg; codecs=opus')).toBe('audio/ogg; codecs=opus');
    for (const said of [undefined, 1, '', 'x', 'a/b c', `a/${'b'.repeat(1000)}`]) {
      expect(() => toDetected(said)).toThrow(/nonsense/);
    }
  });
});
