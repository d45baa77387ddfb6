import { expect, it } from '@jest/globals';
import { supportedMimeTypes } from 'file-type';
import { foldMediaType, resolveMediaType } from '#libs/domain';
import { isInspected, mayBeInspected, needsWholeFile } from './inspected-types.js';

it.each([
  ['image/png', true],
  ['audio/ogg; codecs=opus', true],
  ['video/mp4', true],
  ['application/pdf', true],
  ['application/zip', true],
  ['application/epub+zip', true],
  ['application/java-archive', true],
  ['application/x-xpinstall', true],
  ['application/vnd.oasis.opendocument.text-template', true],
  ['application/vnd.openxmlformats-officedocument.presentationml.slideshow', true],
  ['application/vnd.ms-excel.sheet.macroenabled.12', true],
  ['application/vnd.visio', true],
  ['application/vnd.apple.numbers', true],
  ['application/vnd.android.package-archive', true],
  ['model/3mf', true],
  ['application/x-msdownload', true],
  ['application/x-elf', true],
  ['application/x-mach-binary', true],
  ['application/x-google-chrome-extension', true],
  ['image/svg+xml', true],
  ['text/html', false],
  ['text/xml', false],
  ['text/plain', false],
  ['application/x-cfb', true],
  ['application/gzip', false],
  [null, false],
])('inspects %s: %p', (type, answer) => {
  expect(isInspected(type)).toBe(answer);
});

it.each<[string, string | null, boolean]>([
  ['application/octet-stream', 'image/png', true],
  ['application/octet-stream', null, false],
  ['image/tiff', null, true],
  ['audio/mpeg', null, true],
  ['application/vnd.google-earth.kmz', null, true],
  ['text/plain', null, false],
  ['application/x-foo', null, false],
  ['text/plain', 'text/plain', false],
])('needs the whole file of a declared %s detected as %s: %p', (declared, detected, answer) => {
  expect(needsWholeFile(declared, detected)).toBe(answer);
});

it('expects inspection for each declared type that can be stored as an inspected one', () => {
  const inspected = [...supportedMimeTypes].filter((type) => isInspected(type));
  const declared = [
    ...[...supportedMimeTypes].map(foldMediaType),
    ...[
      'application/vnd.google-earth.kmz',
      'application/postscript',
      'application/msword',
      'application/pgp-keys',
    ],
    ...['application/vnd.ms-excel', 'audio/3gpp', 'image/x-pentax-pef', 'application/x-foo+zip', 'text/csv'],
    ...['application/illustrator', 'model/vnd.mts', 'application/dash-patch+xml', 'application/ogg'],
  ];
  const pairs = declared.flatMap((type) =>
    inspected.filter((found) => resolveMediaType(type, found) !== null).map((found) => [type, found]),
  );
  expect(pairs.length).toBeGreaterThan(150);
  expect(pairs.filter(([type]) => !mayBeInspected(type!))).toEqual([]);
});
