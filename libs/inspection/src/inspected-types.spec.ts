import { expect, it } from '@jest/globals';
import { isInspected } from './inspected-types.js';

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
  ['image/svg+xml', false],
  ['text/html', false],
  ['text/xml', false],
  ['text/plain', false],
  ['application/x-cfb', false],
  ['application/gzip', false],
  [null, false],
])('%s is looked into: %p', (type, answer) => {
  expect(isInspected(type)).toBe(answer);
});
