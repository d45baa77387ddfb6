import { describe, expect, it } from '@jest/globals';
import { isAllowedType, isSafeInline, kindOfMediaType, parseMediaType } from './media-type.js';
import { settleMediaType } from './media-type-match.js';

describe('parseMediaType', () => {
  it.each([
    ['image/png', 'image/png'],
    ['IMAGE/PNG', 'image/png'],
    ['image/jpg', 'image/jpeg'],
    ['audio/x-wav', 'audio/wav'],
    ['application/vnd.openxmlformats-officedocument.wordprocessingml.document', null],
  ])('%s is stored as %s', (given, stored) => {
    expect(parseMediaType(given)).toBe(stored ?? given);
  });

  it.each([
    '',
    'png',
    'image/',
    'image/*',
    'image/png, text/html',
    'image/svg+xml; charset=utf-8',
    'image/png\r\n',
    'a/b/c',
  ])('refuses %p', (given) => {
    expect(() => parseMediaType(given)).toThrow(expect.objectContaining({ reason: 'MIME_TYPE_INVALID' }));
  });
});

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const DOCM = 'application/vnd.ms-word.document.macroenabled.12';

describe('settleMediaType', () => {
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
    ['image/heif', 'image/heic', 'image/heif'],
    ['image/png', 'image/apng', 'image/png'],
    ['image/apng', 'image/png', null],
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
  ])('%s declared, %s found: %s', (declared, detected, settled) => {
    // An SVG without its root in the head is XML like any other, and refused as SVG: it would be served as one.
    expect(settleMediaType(declared, detected)).toBe(settled);
  });
});

describe('isAllowedType', () => {
  it.each<[string, string[], boolean]>([
    ['image/png', [], true],
    ['image/png', ['image/png'], true],
    ['image/png', ['image/*', 'text/plain'], true],
    ['image/jpeg', ['image/jpg'], true],
    ['audio/mpeg', ['image/jpg', 'audio/mp3'], true],
    ['image/png', ['image/jpg'], false],
    ['imagery/png', ['image/*'], false],
    ['application/pdf', ['image/*', 'text/plain'], false],
  ])('%s of %p: %p', (type, allowed, answer) => {
    expect(isAllowedType(type, allowed)).toBe(answer);
  });
});

describe('kinds and inline', () => {
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
  ])('%s is %s, inline %p', (type, kind, inline) => {
    expect(kindOfMediaType(type)).toBe(kind);
    expect(isSafeInline(type)).toBe(inline);
  });
});
