import { describe, expect, it } from '@jest/globals';
import { isAllowedType, isSafeInline, kindOfMediaType, parseMediaType } from './media-type.js';
import { resolveMediaType } from './media-type-match.js';
import { foldMediaType, lineageOf } from './media-type-table.js';
import { ALIASES, CHILDREN, FAMILIES, MISNOMERS, PROVEN, RECOGNISED } from './media-types.data.js';

describe('parseMediaType', () => {
  it.each([
    ['image/png', 'image/png'],
    ['IMAGE/PNG', 'image/png'],
    ['image/jpg', 'image/jpeg'],
    ['audio/x-wav', 'audio/wav'],
    ['application/vnd.openxmlformats-officedocument.wordprocessingml.document', null],
    ['image/svg+xml; charset=utf-8', 'image/svg+xml'],
    ['video/webm;codecs=vp9,opus', 'video/webm'],
    ['Audio/X-M4A ; name="Grüße.m4a"', 'audio/mp4'],
    ['text/plain;', 'text/plain'],
    ['video/x-matroska;codecs=avc1', 'video/matroska'],
    ['binary/octet-stream', 'application/octet-stream'],
  ])('parses %s as %s', (given, stored) => {
    expect(parseMediaType(given)).toBe(stored ?? given);
  });

  it.each([
    '',
    'png',
    'image/',
    'image/*',
    'image/png, text/html',
    'image/png,image/gif',
    'image/png; x=\r\ny',
    'image/png; \ud800',
    `image/png;${'x'.repeat(1001)}`,
    'image/png\r\n',
    'a/b/c',
  ])('rejects %p', (given) => {
    expect(() => parseMediaType(given)).toThrow(expect.objectContaining({ reason: 'MIME_TYPE_INVALID' }));
  });
});

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const DOCM = 'application/vnd.ms-word.document.macroenabled.12';

describe('resolveMediaType', () => {
  it.each([
    ['image/png', 'image/png', 'image/png'],
    ['audio/x-wav', 'audio/wav', 'audio/wav'],
    ['application/octet-stream', 'application/pdf', 'application/pdf'],
    ['application/octet-stream', null, 'application/octet-stream'],
    ['text/csv', 'text/plain', 'text/csv'],
    ['application/json', 'text/plain', 'application/json'],
    ['application/atom+xml', 'text/xml', 'application/atom+xml'],
    ['application/msword', 'application/x-cfb', 'application/msword'],
    ['audio/mp4', 'video/mp4', 'audio/mp4'],
    ['audio/ogg', 'audio/ogg; codecs=opus', 'audio/ogg'],
    ['application/octet-stream', 'audio/ogg; codecs=opus', 'audio/ogg'],
    ['application/rss+xml', 'text/xml', 'application/rss+xml'],
    ['text/html', 'text/xml', 'text/html'],
    ['video/x-ms-wmv', 'video/x-ms-asf', 'video/x-ms-asf'],
    ['image/heif', 'image/heic', 'image/heic'],
    ['image/heic', 'image/heif', 'image/heic'],
    ['image/avif', 'image/heic', null],
    ['image/heic', 'video/mp4', null],
    ['image/png', 'image/apng', 'image/png'],
    ['image/apng', 'image/png', 'image/apng'],
    ['text/rtf', 'application/rtf', 'application/rtf'],
    ['message/rfc822', 'text/plain', 'message/rfc822'],
    ['application/vnd.api+json', 'text/plain', 'application/vnd.api+json'],
    ['application/vnd.ms-excel', 'text/plain', 'text/csv'],
    ['application/vnd.ms-excel', 'application/x-cfb', 'application/vnd.ms-excel'],
    ['application/vnd.ms-excel', 'text/html', null],
    [DOCX, DOCX, DOCX],
    [DOCX, DOCM, null],
    [DOCM, DOCM, DOCM],
    [DOCM, DOCX, null],
    [DOCX, 'application/zip', null],
    ['application/zip', DOCM, null],
    ['application/octet-stream', DOCM, DOCM],
    ['image/svg+xml', 'image/svg+xml', 'image/svg+xml'],
    ['application/octet-stream', 'image/svg+xml', 'image/svg+xml'],
    ['text/plain', 'image/svg+xml', null],
    ['image/png', 'image/svg+xml', null],
    ['text/html', 'text/html', 'text/html'],
    ['application/xml', 'text/xml', 'text/xml'],
    ['image/png', 'text/xml', null],
    ['text/plain', 'text/html', null],
    ['image/png', 'text/html', null],
    ['text/html', 'text/plain', null],
    ['image/svg+xml', 'text/xml', null],
    ['application/xhtml+xml', 'text/xml', null],
    ['image/png', null, null],
    ['text/plain', null, null],
    ['image/png', 'image/jpeg', null],
    // Ancestors and descendants.
    ['application/zip', DOCX, DOCX],
    ['application/zip', 'application/java-archive', null],
    ['application/vnd.google-earth.kmz', 'application/zip', 'application/vnd.google-earth.kmz'],
    ['application/x-foo+zip', 'application/zip', 'application/x-foo+zip'],
    ['application/x-foo', 'application/zip', null],
    ['application/epub+zip', 'application/zip', null],
    [
      'application/vnd.ms-visio.drawing.main+xml',
      'application/vnd.visio',
      'application/vnd.ms-visio.drawing',
    ],
    [
      'application/vnd.oasis.opendocument.text-flat-xml',
      'text/xml',
      'application/vnd.oasis.opendocument.text-flat-xml',
    ],
    ['image/x-pentax-pef', 'image/tiff', 'image/x-pentax-pef'],
    ['image/tiff', 'image/x-adobe-dng', 'image/x-adobe-dng'],
    ['video/x-matroska', 'video/webm', 'video/webm'],
    ['audio/ogg', 'video/ogg', 'video/ogg'],
    ['video/ogg', 'audio/ogg', 'video/ogg'],
    ['application/x-compressed-tar', 'application/gzip', 'application/x-compressed-tar'],
    ['application/illustrator', 'application/pdf', 'application/vnd.adobe.illustrator'],
    ['application/postscript', 'application/eps', 'application/eps'],
    ['audio/amr-wb', 'audio/amr', 'audio/amr-wb'],
    // Families.
    ['video/mp4', 'video/quicktime', 'video/mp4'],
    ['audio/3gpp', 'video/3gpp', 'audio/3gpp'],
    ['application/vnd.apple.pages', 'application/vnd.apple.numbers', 'application/vnd.apple.pages'],
    ['font/ttf', 'font/otf', 'font/ttf'],
    // Misnomers.
    ['application/postscript', 'application/pdf', 'application/pdf'],
    ['video/mp2t', 'text/plain', 'text/plain'],
    ['video/mp2t', 'text/html', null],
    ['application/msword', 'application/rtf', 'application/rtf'],
    ['application/msword', DOCX, DOCX],
    ['application/msword', DOCM, null],
    ['audio/aac', 'video/mp4', 'audio/mp4'],
    ['video/mp4', 'audio/mp4', 'audio/mp4'],
    ['video/3gpp', 'audio/3gpp', 'audio/3gpp'],
    ['video/mp2t', 'audio/mp2t', 'audio/mp2t'],
    ['video/webm', 'audio/webm', 'audio/webm'],
    ['model/vnd.mts', 'video/mp2t', 'video/mp2t'],
    [DOCX, 'application/x-tika-ooxml-protected', DOCX],
    [DOCX, 'application/x-cfb', null],
    // Declared as text, and text found in unknown types.
    ['text/plain', 'text/vcard', 'text/vcard'],
    ['text/csv', 'text/calendar', 'text/csv'],
    ['text/javascript', 'text/xml', 'text/javascript'],
    ['text/xml', 'text/vcard', null],
    ['text/xml', 'text/plain', null],
    ['audio/x-mpegurl', 'text/plain', 'application/vnd.apple.mpegurl'],
    ['application/x-foo', 'text/plain', 'application/x-foo'],
    ['application/x-foo', 'text/html', null],
    ['image/x-foo', 'text/plain', null],
    ['application/pdf', 'text/plain', null],
    ['application/json', 'text/xml', 'text/xml'],
    ['application/yaml', 'text/xml', 'application/yaml'],
    ['application/x-httpd-php', 'text/xml', 'application/x-httpd-php'],
    ['message/rfc822', 'text/xml', 'message/rfc822'],
    ['application/yaml', 'text/html', null],
    ['application/yaml', 'image/svg+xml', null],
    // XML found in unknown types.
    ['application/vnd.mobius.msl', 'text/xml', 'application/vnd.mobius.msl'],
    ['application/x-foo', 'text/xml', 'application/x-foo'],
    ['application/x-plist', 'text/xml', 'application/x-plist'],
    ['model/x-foo', 'text/xml', 'model/x-foo'],
    ['application/x-foo', 'application/rss+xml', null],
    ['application/x-foo', 'application/xhtml+xml', null],
    ['application/x-foo', 'image/svg+xml', null],
    ['audio/x-foo', 'text/xml', null],
    ['video/x-foo', 'text/xml', null],
    ['application/pdf', 'text/xml', null],
    ['application/postscript', 'text/xml', null],
    ['application/eps', 'text/xml', null],
    ['application/vnd.android.package-archive', 'text/xml', null],
    ['application/vnd.palm', 'text/xml', null],
    ['application/x-foo+zip', 'text/xml', null],
    ['font/ttf', 'text/xml', null],
    ['text/plain', 'application/x-msdownload', null],
    ['text/x-python', 'application/x-elf', null],
    ['image/x-foo+xml', 'text/xml', null],
    // No known signature.
    ['image/x-tga', null, 'image/x-tga'],
    ['application/x-foo', null, 'application/x-foo'],
    ['image/heic', null, null],
    ['application/vnd.apple.keynote', null, null],
    ['application/x-foo+json', null, null],
    ['video/x-msvideo', null, null],
    ['application/x-foo', 'image/png', null],
  ])('resolves %s declared and %s detected to %s', (declared, detected, expected) => {
    // An SVG whose root element is not in the head is detected as XML; it is rejected because it would be served as
    // SVG.
    expect(resolveMediaType(declared, detected)).toBe(expected);
  });
});

describe('isAllowedType', () => {
  it.each<[string, string[], boolean]>([
    ['image/png', [], true],
    ['image/png', ['image/png'], true],
    ['image/png', ['image/*', 'text/plain'], true],
    ['image/jpeg', ['image/jpg'], true],
    ['application/x-cfb', ['application/x-ole-storage'], true],
    ['application/vnd.ms-visio.drawing', ['application/vnd.ms-visio.drawing.main+xml'], true],
    ['image/heic', ['image/heif'], false],
    ['audio/mpeg', ['image/jpg', 'audio/mp3'], true],
    ['image/png', ['image/jpg'], false],
    ['imagery/png', ['image/*'], false],
    ['application/pdf', ['image/*', 'text/plain'], false],
  ])('matches %s against %p: %p', (type, allowed, answer) => {
    expect(isAllowedType(type, allowed)).toBe(answer);
  });
});

describe('kindOfMediaType and isSafeInline', () => {
  it.each([
    ['image/svg+xml', 'IMAGE', false],
    ['image/webp', 'IMAGE', true],
    ['audio/flac', 'AUDIO', true],
    ['video/mp4', 'VIDEO', true],
    ['application/pdf', 'DOCUMENT', true],
    ['text/plain', 'DOCUMENT', true],
    ['text/html', 'DOCUMENT', false],
    ['application/vnd.oasis.opendocument.text', 'DOCUMENT', false],
    ['text/xml', 'DOCUMENT', false],
    [DOCM, 'DOCUMENT', false],
    ['application/zip', 'OTHER', false],
    ['application/octet-stream', 'OTHER', false],
    ['application/vnd.apple.keynote', 'DOCUMENT', false],
    ['application/vnd.ms-visio.drawing', 'DOCUMENT', false],
    ['image/x-foo+xml', 'IMAGE', false],
  ])('classify %s as %s, inline %p', (type, kind, inline) => {
    expect(kindOfMediaType(type)).toBe(kind);
    expect(isSafeInline(type)).toBe(inline);
  });
});

describe('the media type tables', () => {
  const namesIn = (...tables: readonly string[]) =>
    tables
      .join('\n')
      .split(/[\s:]+/)
      .filter((name) => name.includes('/'));

  it('list each name once, and only names that clients can declare', () => {
    const names = namesIn(ALIASES);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
    for (const name of names) expect(() => parseMediaType(name)).not.toThrow();
  });

  it('use canonical names', () => {
    const named = namesIn(CHILDREN, FAMILIES, MISNOMERS, PROVEN, RECOGNISED);
    expect(named.filter((name) => foldMediaType(name) !== name)).toEqual([]);
  });

  it('contain no cycle', () => {
    const parents = namesIn(CHILDREN);
    for (const type of parents) {
      const others = [...lineageOf(type)].filter((name) => name !== type);
      expect([type, others.filter((name) => lineageOf(name).has(type))]).toEqual([type, []]);
    }
  });
});
