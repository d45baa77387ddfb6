import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { officeParts, zipArchive } from '#libs/inspection/testing';
import { mediaTypeOf } from '../../scripts/media-type.js';
import { TEST_FILES } from '../support/clamd.js';
import { Fleet } from '../support/fleet.js';
import { endOf } from './hostile-cases.js';
import { inParallel, inputFor, type Outcome, upload } from './hostile-uploads.js';
import { document, photo, tone } from './samples.js';

const AT_A_TIME = 8;
const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

interface Sample {
  readonly name: string;
  readonly read: () => Buffer | Promise<Buffer>;
  readonly type: string;
  /** Names of properties that must be greater than 0. */
  readonly found: readonly string[];
}

/** The first `most` files of a Debian package by name, their content types, and properties that must be found. */
interface Packaged {
  readonly package: string;
  readonly folder: string;
  readonly files: RegExp;
  readonly most: number;
  readonly type: string | ((file: string) => string);
  readonly found: readonly string[];
}

/** Content types that file(1) reports for the ClamAV samples, in this project's names. */
const TEST_FILE_TYPES: readonly (readonly [RegExp, string])[] = [
  [/\.exe$/, 'application/x-msdownload'],
  [/\.zip$/, 'application/zip'],
  [/\.7z$/, 'application/x-7z-compressed'],
  [/\.pdf$/, 'application/pdf'],
  [/\.rtf$/, 'application/rtf'],
  [/\.(doc|ppt)$/, 'application/x-cfb'],
  [/\.(tar\.gz|tgz)$/, 'application/gzip'],
  [/\.bz2$/, 'application/x-bzip2'],
];

const PACKAGED: readonly Packaged[] = [
  {
    package: 'base-files',
    folder: '/usr/share/common-licenses',
    files: /./,
    most: 10,
    type: 'text/plain',
    found: [],
  },
  {
    package: 'sound-theme-freedesktop',
    folder: '/usr/share/sounds/freedesktop/stereo',
    files: /\.oga$/,
    most: 15,
    type: 'audio/ogg',
    found: ['durationSeconds'],
  },
  {
    package: 'clamav-testfiles',
    folder: TEST_FILES,
    files: new RegExp(TEST_FILE_TYPES.map(([{ source }]) => source).join('|')),
    most: 44,
    type: (file) => TEST_FILE_TYPES.find(([pattern]) => pattern.test(file))![1],
    found: [],
  },
];

const picture = () => sharp(photo(64, 48));
const size = ['width', 'height'];
const made = (name: string, type: string, found: readonly string[], read: Sample['read']): Sample => ({
  name,
  type,
  found,
  read,
});
const MADE: readonly Sample[] = [
  made('photo.jpg', 'image/jpeg', size, () => picture().jpeg().toBuffer()),
  made('photo.png', 'image/png', size, () => photo(64, 48)),
  made('photo.gif', 'image/gif', size, () => picture().gif().toBuffer()),
  made('photo.webp', 'image/webp', size, () => picture().webp().toBuffer()),
  made('photo.avif', 'image/avif', size, () => picture().avif({ effort: 0 }).toBuffer()),
  made('photo.tif', 'image/tiff', size, () => picture().tiff().toBuffer()),
  made('tone.wav', 'audio/wav', ['durationSeconds'], () => tone()),
  made('page.pdf', 'application/pdf', ['pageCount'], () => document()),
  made('letter.docx', DOCX, [], () => zipArchive(officeParts(`${DOCX}.main+xml`))),
  made('files.zip', 'application/zip', [], () => zipArchive([{ name: 'a', content: 'a' }])),
];

/** Returns the samples of the installed packages. A missing package prints one line, and fails the suite in CI. */
function samples(): Sample[] {
  return PACKAGED.flatMap(({ package: name, folder, files, most, type, found }) => {
    if (!existsSync(folder)) {
      if (process.env.CI === 'true') throw new Error(`${name} is not installed`);
      process.stdout.write(`skipped: the files of ${name} (apt-get install ${name})\n`);
      return [];
    }
    const names = readdirSync(folder).filter((file) => files.test(file));
    return names
      .sort()
      .slice(0, most)
      .map((file) => ({
        name: file,
        read: () => readFile(path.join(folder, file)),
        type: typeof type === 'string' ? type : type(file),
        found,
      }));
  });
}

const ALL = [...MADE, ...samples()];
const OWNERS = [
  ['by its name', '1', mediaTypeOf],
  ['as application/octet-stream', '2', () => 'application/octet-stream'],
] as const;

describe('real-world files (real: an api and a worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    fleet = await Fleet.start({ env: { RATE_LIMIT_PER_MINUTE: '0' } });
    for (const [how, owner, typeOf] of OWNERS) {
      await inParallel(ALL, AT_A_TIME, async ({ name, read }) => {
        const bytes = await read();
        const input = inputFor(bytes, typeOf(name), name);
        outcomes.set(`${name} ${how}`, await upload(fleet, input, bytes, owner));
      });
    }
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it.each(OWNERS.flatMap(([how]) => ALL.map((sample) => [sample.name, how, sample.type, sample] as const)))(
    'detects the type of %s, declared %s: %s',
    (name, how, type, { found }) => {
      const outcome = outcomes.get(`${name} ${how}`)!;
      // The bytes show only the container, so the service keeps a declared type of that family.
      const isRefined = type === 'application/x-cfb' && how === 'by its name';
      expect(endOf(outcome)).toBe(isRefined ? mediaTypeOf(name) : type);
      const missing = found.filter((property) => !(Number(outcome.properties?.[property]) > 0));
      expect(missing).toEqual([]);
    },
  );
});
