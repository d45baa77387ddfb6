import { describe, expect, it } from '@jest/globals';
import { supportedMimeTypes } from 'file-type';
import { foldMediaType, resolveMediaType } from '#libs/domain';
import { type ContentCheck, type FileReader, InspectionExtensions } from './extensions.js';
import { InspectedTypes } from './inspected-types.js';
import { secondsFor } from './type-table.js';

const own = new InspectedTypes(new InspectionExtensions());

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
  expect(own.isInspected(type)).toBe(answer);
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
  expect(own.needsWholeFile(declared, detected)).toBe(answer);
  expect(own.mustBeInspected(declared, detected)).toBe(answer);
});

it('expects inspection for each declared type that can be stored as an inspected one', () => {
  const inspected = [...supportedMimeTypes].filter((type) => own.isInspected(type));
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
  expect(pairs.filter(([type]) => !own.mayBeInspected(type!))).toEqual([]);
});

it.each([
  ['application/pdf', 60, 10],
  ['application/pdf', 5, 5],
  ['image/png', 60, 60],
  [null, 60, 60],
])('limits an inspection of %s, with %i s configured, to %i s', (type, configured, seconds) => {
  expect(secondsFor(type, configured)).toBe(seconds);
});

describe('types of features', () => {
  const module = new URL('./inspector.js', import.meta.url);
  const each = { revision: 1, module };
  const properties = { points: { type: 'int', min: 0, max: 9 } } as const;
  const gpx: FileReader = { ...each, id: 'gpx', types: /^application\/gpx\+xml$/, properties };
  const plain: ContentCheck = { ...each, id: 'plain', types: /^text\/plain$/, reasons: ['A_B'] };
  const types = new InspectedTypes(new InspectionExtensions({ readers: [gpx], checks: [plain] }));

  it.each<[string, string | null, boolean, boolean]>([
    // A reader goes by the type of the asset.
    ['application/gpx+xml', 'text/xml', true, false],
    ['text/xml', 'text/xml', false, false],
    ['application/gpx+xml', null, true, false],
    // A check goes by the detected type too, so that another declared type does not avoid the check.
    ['text/plain', 'text/plain', true, false],
    ['text/csv', 'text/plain', true, false],
    ['application/octet-stream', 'text/plain', true, false],
    ['application/octet-stream', null, false, false],
    ['image/png', 'image/png', true, true],
  ])('of a declared %s detected as %s need the whole file: %p; the service does: %p', (...row) => {
    const [declared, detected, isNeeded, isRequired] = row;
    expect(types.needsWholeFile(declared, detected)).toBe(isNeeded);
    expect(types.mustBeInspected(declared, detected)).toBe(isRequired);
    if (isNeeded) expect(types.mayBeInspected(declared)).toBe(true);
  });

  it('are inspected like those of the service', () => {
    expect(types.isInspected('application/gpx+xml')).toBe(true);
    expect(types.isInspected('text/plain')).toBe(true);
    expect(types.isInspected('text/html')).toBe(false);
  });
});
