import { describe, expect, it } from '@jest/globals';
import { NO_PROPERTIES, parseProfiles } from '#libs/domain';
import { toDetected, toFlag, toInspection } from './answer.js';

const [profile] = parseProfiles(['small=webp:320:80']);
const request = { path: '/spool/x', sizeBytes: 1, detected: 'image/png', profiles: [profile!] };
const valid = {
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

describe('answers of an inspection process', () => {
  it('accepts a valid answer', () => {
    const { properties, renditions, ...rest } = toInspection(valid, request);
    expect(rest).toEqual({ detected: 'image/png', variantsReason: null, refusal: null, opaque: null });
    expect(properties).toEqual({ ...NO_PROPERTIES, ...valid.properties, takenAt: new Date(0) });
    // The requested profile object, not the copy that the child sent.
    expect(renditions[0]?.profile).toBe(profile);
  });

  it.each([
    ['an undefined answer', undefined],
    ['text', 'x'],
    ['an answer without renditions', { ...valid, renditions: null }],
    [
      'a profile that was not requested',
      { ...valid, renditions: [{ ...valid.renditions[0], profile: { name: 'x' } }] },
    ],
    [
      'more renditions than were requested',
      { ...valid, renditions: [valid.renditions[0], valid.renditions[0]] },
    ],
    ['a rendition without bytes', { ...valid, renditions: [{ ...valid.renditions[0], bytes: 'x' }] }],
    ['a rendition without width', { ...valid, renditions: [{ ...valid.renditions[0], width: -1 }] }],
    ['an unknown refusal code', { ...valid, refusal: { code: 'INFECTED', message: '' } }],
    ['an unknown variants reason', { ...valid, variantsReason: '<script>' }],
    ['a malformed media type', { ...valid, detected: 'image/png\r\nset-cookie: x' }],
  ])('rejects %s', (_, answer) => {
    expect(() => toInspection(answer, request)).toThrow(/nonsense/);
  });

  it('drops invalid properties', () => {
    const properties = {
      ...{ width: -1, height: 1.5, durationSeconds: Infinity, pageCount: '1', takenAt: 'yesterday' },
      ...{ takenAtLocal: '1970-02-30T00:00:00' },
      ...{ hasLocation: 1, latitude: '0', title: '\u0000 \n', cameraMake: {}, unknown: 1, __proto__: null },
    };
    expect(toInspection({ ...valid, properties }, request).properties).toEqual(NO_PROPERTIES);
  });

  it('accepts only booleans as a flag', () => {
    expect([toFlag(true), toFlag(false)]).toEqual([true, false]);
    for (const value of [undefined, null, 0, 'true']) expect(() => toFlag(value)).toThrow(/nonsense/);
  });

  it('accepts only a media type or null as the detected type', () => {
    expect(toDetected(null)).toBeNull();
    expect(toDetected('audio/ogg; codecs=opus')).toBe('audio/ogg; codecs=opus');
    for (const value of [undefined, 1, '', 'x', 'a/b c', `a/${'b'.repeat(1000)}`]) {
      expect(() => toDetected(value)).toThrow(/nonsense/);
    }
  });
});
