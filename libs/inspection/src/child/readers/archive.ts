import { inflateRawSync } from 'node:zlib';
import { BoundedFile, type Pieces, piecesWithin, Unbelievable } from '../bounded-file.js';
import { rethrowExhaustion } from '../exhaustion.js';
import type { Finding, Reader } from '../reader.js';
import { nestedObjection, sizeObjection } from './nested-archives.js';
import { readAppended, readDirectory, type ZipDirectory, type ZipEntry } from '../zip-directory.js';

/** Of a whole archive; the largest honest directory of 10 000 entries is far smaller. */
const MAX_READ = 16 * 2 ** 20;
/** Of the archives in it, and to find out which entries are archives. */
const MAX_NESTED_READ = 2 * 2 ** 30;
/** Of ClamAV, as it is configured here: MaxFileSize. */
const SCANNABLE = 2000 * 2 ** 20;
const MAX_PART = 2 ** 20;

/** The bytes of a small entry, or null when it is not small, or not what it says. */
function partOf(file: Pieces, entry: ZipEntry | undefined): Buffer | null {
  if (entry === undefined || entry.packedBytes > MAX_PART || entry.bytes > MAX_PART) return null;
  try {
    const packed = file.read(entry.data, entry.packedBytes);
    if (entry.method === 0) return packed;
    return entry.method === 8 ? inflateRawSync(packed, { maxOutputLength: MAX_PART }) : null;
  } catch (error) {
    rethrowExhaustion(error);
    return null;
  }
}

/** As Office decodes it. */
function xmlText(part: Buffer): string {
  const encoding = part[0] === 0xff ? 'utf-16le' : part[0] === 0xfe ? 'utf-16be' : 'utf-8';
  return new TextDecoder(encoding)
    .decode(part)
    .replaceAll(/&#(x[0-9a-f]{1,6}|[0-9]{1,7});/gi, (reference, digits: string) => {
      const code = Number(digits.toLowerCase().startsWith('x') ? `0${digits}` : digits);
      return code <= 0x10ffff ? String.fromCodePoint(code) : reference;
    });
}

const CONTENT_TYPE = /\bContentType\s*=\s*(?:"([^"]{1,200})"|'([^']{1,200})')/g;
const PLAIN_MAIN =
  /^(application\/vnd\.openxmlformats-officedocument\.(wordprocessing|spreadsheet|presentation)ml\.(document|sheet|presentation|slideshow|template))\.main\+xml$/;
const MACRO_MAIN =
  /^application\/vnd\.ms-(word|excel|powerpoint)\.(document|sheet|presentation|slideshow|template|addin|sheet\.binary)\.macroenabled(?:template)?\.main(?:\+xml)?$/;
const PROGRAMS: Readonly<Record<string, string>> = {
  wordprocessing: 'word',
  spreadsheet: 'excel',
  presentation: 'powerpoint',
};
/** A part that is a program, in VBA or in the language of Excel 4. */
const MACRO_PART = /(?:^|\/)vbaproject[^/]*\.bin$|(?:^|\/)xl\/(?:intl)?macrosheets\//;
const MACRO_TYPE = /vbaproject|macrosheet/;

/** ECMA-376 part 2: what its [Content_Types].xml says that the main part is; a macro in any part makes it the type with macros. */
function officeType(contentTypes: Buffer, names: Iterable<string>): string | null {
  const found = [...xmlText(contentTypes).matchAll(CONTENT_TYPE)].map(([, double, single]) =>
    (double ?? single ?? '').trim().toLowerCase(),
  );
  for (const type of found) {
    const [, program, kind] = MACRO_MAIN.exec(type) ?? [];
    if (kind !== undefined) return `application/vnd.ms-${program}.${kind}.macroenabled.12`;
  }
  const hasMacro =
    found.some((type) => MACRO_TYPE.test(type)) || [...names].some((name) => MACRO_PART.test(name));
  for (const type of found) {
    const [, plain, program = '', kind] = PLAIN_MAIN.exec(type) ?? [];
    if (plain !== undefined) {
      return hasMacro ? `application/vnd.ms-${PROGRAMS[program]}.${kind}.macroenabled.12` : plain;
    }
  }
  return null;
}

const MIMETYPE_PART = /^application\/(epub\+zip|vnd\.oasis\.opendocument\.[a-z-]{1,40})$/;

/** What the parts of an archive make it, wherever they lie; null when nothing but an archive. */
function typeOf(file: Pieces, entries: readonly ZipEntry[]): string | null {
  const byName = new Map(entries.map((entry) => [entry.name.toLowerCase(), entry]));
  const contentTypes = partOf(file, byName.get('[content_types].xml'));
  const office = contentTypes && officeType(contentTypes, byName.keys());
  if (office) return office;
  const mimetype = partOf(file, byName.get('mimetype'))?.toString('latin1').trim() ?? '';
  if (MIMETYPE_PART.test(mimetype)) return mimetype;
  if (byName.has('androidmanifest.xml') && (byName.has('classes.dex') || byName.has('resources.arsc'))) {
    return 'application/vnd.android.package-archive';
  }
  return byName.has('meta-inf/manifest.mf') ? 'application/java-archive' : null;
}

/** What {@link typeOf} would have found, were it so. The head may show only what the directory does not list. */
const PROVABLE =
  /^application\/(epub\+zip$|java-archive$|vnd\.(oasis\.|openxmlformats-|ms-[a-z]+\.[a-z.]*macroenabled|android\.))/i;

type Look = (file: Pieces, within: Pieces, scannable: number, detected: string) => Promise<Finding>;

/** Answers with what was found in a file, or with why that is not to be believed. */
const looking =
  (look: Look): Reader =>
  async ({ path, sizeBytes, detected }, { scannableBytes = SCANNABLE }) => {
    using file = new BoundedFile(path, sizeBytes, MAX_READ);
    using within = new BoundedFile(path, sizeBytes, MAX_NESTED_READ);
    try {
      return await look(file, within, scannableBytes, detected);
    } catch (error) {
      if (!(error instanceof Unbelievable)) throw error;
      return { opaque: error.message };
    }
  };

const objectionTo = async ({ entries, objection }: ZipDirectory, within: Pieces, scannable: number) =>
  objection ??
  sizeObjection(entries, within.sizeBytes, scannable) ??
  (await nestedObjection(within, entries, scannable));

/**
 * Archives of the ZIP family: what they are by their parts, and whether a scanner sees all that an unpacker would. Reads the
 * directory, two small parts and the archives in it. `opaque` when the directory cannot be read, and for whatever hides content:
 * encryption, ZIP64 (ClamAV 1.4 passes over it), bombs, entries that overlap or differ from the directory; in the archives in it as well.
 */
export const read = looking(async (file, within, scannable, detected) => {
  const directory = readDirectory(file);
  const type = typeOf(file, directory.entries) ?? (PROVABLE.test(detected) ? 'application/zip' : detected);
  return { detected: type, opaque: await objectionTo(directory, within, scannable) };
});

/** Programs that unpack themselves: the archive behind one is looked into like any other. Most have none. */
export const readBehind = looking(async (file, within, scannable) => {
  const found = readAppended(file);
  if (found === null) return {};
  const whole = piecesWithin(within, found.start, within.sizeBytes - found.start);
  return { opaque: await objectionTo(found.directory, whole, scannable) };
});
