import { describe, expect, it } from '@jest/globals';
import { type AssetProperties, NO_PROPERTIES, sanitizeProperties } from './properties.js';

type Found = { readonly [P in keyof AssetProperties]?: unknown };

const DAY = new Date('2024-05-06T07:08:09.123Z');
const DAY_UTC = '2024-05-06T07:08:09.123';

describe('soundProperties', () => {
  it('keeps valid properties', () => {
    const sound: AssetProperties = {
      width: 1,
      height: 2 ** 31 - 1,
      durationSeconds: 0.125,
      pageCount: 0,
      takenAt: DAY,
      takenAtLocal: '2024-05-05T19:08:09.123',
      cameraMake: 'Société',
      cameraModel: '😀',
      hasLocation: true,
      latitude: -90,
      longitude: 180,
      title: 'a b',
      artist: 'c',
      album: 'd',
      thumbhash: '4PcBBYB2hfRpd2dZR5h6eL8LSDP0',
    };
    expect(sanitizeProperties(sound)).toEqual(sound);
    expect(sanitizeProperties({})).toEqual(NO_PROPERTIES);
  });

  it.each<[string, Found, Partial<AssetProperties>]>([
    ['a width of 0', { width: 0, height: 5 }, {}],
    ['a width without a height', { width: 5 }, {}],
    ['a fractional width', { width: 5.5, height: 5 }, {}],
    ['a width beyond its column', { width: 2 ** 31, height: 5 }, {}],
    ['a duration of NaN', { durationSeconds: NaN }, {}],
    ['an infinite duration', { durationSeconds: Infinity }, {}],
    ['a negative duration', { durationSeconds: -1 }, {}],
    ['a duration of many digits', { durationSeconds: 1 / 3 }, { durationSeconds: 0.333 }],
    ['a page count beyond its column', { pageCount: 2 ** 40 }, {}],
    ['an invalid time', { takenAt: new Date(NaN), takenAtLocal: 'yesterday' }, {}],
    ['a local time alone', { takenAtLocal: DAY_UTC }, { takenAtLocal: DAY_UTC }],
    ['a UTC time alone', { takenAt: DAY }, { takenAt: DAY, takenAtLocal: DAY_UTC }],
    ['a local time with a zone', { takenAtLocal: `${DAY_UTC}Z` }, {}],
    ['a local time before 1800', { takenAtLocal: '1799-12-31T23:59:59' }, {}],
    ['a time before 1800', { takenAt: new Date('1799-12-31') }, {}],
    ['a time after 2100', { takenAt: new Date('2101-01-01') }, {}],
    [
      'an offset east of all time zones',
      { takenAt: DAY, takenAtLocal: '2024-05-06T21:08:09.124' },
      { takenAtLocal: '2024-05-06T21:08:09.124' },
    ],
    [
      'an offset west of all time zones',
      { takenAt: DAY, takenAtLocal: '2024-05-05T19:08:09.122' },
      { takenAtLocal: '2024-05-05T19:08:09.122' },
    ],
    ['an invalid latitude', { hasLocation: true, latitude: 90.1, longitude: 0 }, { hasLocation: true }],
    ['a longitude of NaN', { hasLocation: true, latitude: 0, longitude: NaN }, { hasLocation: true }],
    ['a valid position', { latitude: 0, longitude: 0 }, { hasLocation: true, latitude: 0, longitude: 0 }],
    ['a text with NUL', { title: 'a\0b' }, { title: 'a b' }],
    ['a text of several lines', { title: ' a\r\n\tb\u2028c ' }, { title: 'a b c' }],
    ['a lone surrogate', { title: 'a\ud800b' }, { title: 'ab' }],
    ['a text with direction overrides', { title: '\u202egnp.\u2066exe' }, { title: 'gnp.exe' }],
    ['an empty text', { title: ' \0 ', artist: '' }, {}],
    ['a value that is not text', { title: 5, artist: null, album: {} }, {}],
    ['a long text', { cameraMake: '😀'.repeat(200) }, { cameraMake: '😀'.repeat(128) }],
    ['an invalid thumbhash', { thumbhash: '<script>' }, {}],
  ])('sanitizes %s', (_, found, sound) => {
    expect(sanitizeProperties(found)).toEqual({ ...NO_PROPERTIES, ...sound });
  });

  it('truncates a text of a hundred megabytes before processing it', () => {
    expect(sanitizeProperties({ title: ' a'.repeat(5e7) }).title).toHaveLength(511);
  });
});
