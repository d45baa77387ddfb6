import { inflateRawSync } from 'node:zlib';
import { isMediaTypeOf } from '#libs/domain';
import { BoundedFile, type ByteSource, sourceSlice, InvalidArchiveError } from '../bounded-file.js';
import { ENCRYPTED } from '../encryption.js';
import { rethrowOutOfMemory } from '../exhaustion.js';
import type { Finding, Reader } from '../reader.js';
import { objectionTo } from './nested-archives.js';
import { readAppendedArchive, readDirectory, type ZipEntry } from '../zip-directory.js';

/** Bytes read of a whole archive. The directory of an ordinary archive with 10,000 entries is far smaller. */
const MAX_READ = 16 * 2 ** 20;
/** Bytes read of nested archives, and of entries to find out which ones are archives. */
const MAX_NESTED_READ = 2 * 2 ** 30;
/** ClamAV's MaxFileSize as configured in this project, in bytes. */
const SCANNABLE = 2000 * 2 ** 20;
const MAX_PART = 2 ** 20;

const ZIP = 'application/zip';

/** Reads a small entry; null when it is large or its content does not match its headers. */
function partOf(file: ByteSource, entry: ZipEntry | undefined): Buffer | null {
  if (entry === undefined || entry.packedBytes > MAX_PART || entry.bytes > MAX_PART) return null;
  try {
    const packed = file.read(entry.data, entry.packedBytes);
    if (entry.method === 0) return packed;
    return entry.method === 8 ? inflateRawSync(packed, { maxOutputLength: MAX_PART }) : null;
  } catch (error) {
    rethrowOutOfMemory(error);
    return null;
  }
}

/** Decodes an XML part like Office does. */
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
  /^(application\/vnd\.(?:openxmlformats-officedocument\.(wordprocessing|spreadsheet|presentation)ml|ms-(visio))\.(document|sheet|presentation|slideshow|template|drawing|stencil))\.main\+xml$/;
const MACRO_MAIN =
  /^application\/vnd\.ms-(word|excel|powerpoint|visio)\.(document|sheet|presentation|slideshow|template|addin|sheet\.binary|drawing|stencil)\.macroenabled(?:template)?\.main(?:\+xml)?$/;
const PROGRAMS: Readonly<Record<string, string>> = {
  wordprocessing: 'word',
  spreadsheet: 'excel',
  presentation: 'powerpoint',
  visio: 'visio',
};
/** Packages that are not Office documents: ECMA-388, the 3MF specification. */
const OTHER_MAIN: Readonly<Record<string, string>> = {
  'application/vnd.ms-package.xps-fixeddocumentsequence+xml': 'application/vnd.ms-xpsdocument',
  'application/vnd.ms-package.3dmanufacturing-3dmodel+xml': 'model/3mf',
};
/** Parts that contain macros, in VBA or in the macro language of Excel 4. */
const MACRO_PART = /(?:^|\/)vbaproject[^/]*\.bin$|(?:^|\/)xl\/(?:intl)?macrosheets\//;
const MACRO_TYPE = /vbaproject|macrosheet/;

/** ECMA-376 part 2: the type that [Content_Types].xml states for the main part. Any macro selects the type with macros. */
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
    const [, plain, office, visio, kind] = PLAIN_MAIN.exec(type) ?? [];
    if (plain !== undefined) {
      const program = PROGRAMS[office ?? visio ?? ''];
      return hasMacro ? `application/vnd.ms-${program}.${kind}.macroenabled.12` : plain;
    }
  }
  return found.map((type) => OTHER_MAIN[type]).find((type) => type !== undefined) ?? null;
}

/** OpenDocument 1.3 part 2, 3.3; EPUB OCF 3.3, 4.2.3. Other programs have adopted this entry. */
const isMimetypePart = (text: string) =>
  text.length <= 100 && /^[a-z]+\/[a-z0-9.+-]+$/.test(text) && isMediaTypeOf(text, ZIP) && text !== ZIP;

/** Folds the case of ASCII letters, as the comparison of part names does: ECMA-376 part 2, "Part names". */
const folded = (name: string) => name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());

const TYPES_PART = '[content_types].xml';
const MIMETYPE = 'mimetype';
const ANDROID_MANIFEST = 'androidmanifest.xml';
const ANDROID_PARTS = ['classes.dex', 'resources.arsc'];
const JAR_MANIFEST = 'meta-inf/manifest.mf';
const ODF_MANIFEST = 'meta-inf/manifest.xml';
/** Entries that determine the type of an archive or its encryption. */
const DECISIVE = [TYPES_PART, MIMETYPE, ANDROID_MANIFEST, ...ANDROID_PARTS, JAR_MANIFEST, ODF_MANIFEST];

const APK = 'application/vnd.android.package-archive';
const JAR = 'application/java-archive';
/** Detected types of archives that are no documents. Obfuscated programs have names that differ only in case. */
const NO_DOCUMENTS: readonly (string | null)[] = [null, APK, JAR];

/** Detects the type from the parts of an archive, wherever they are; null for an archive of no special type. */
function typeOf(file: ByteSource, entries: readonly ZipEntry[]): string | null {
  const byName = new Map(entries.map((entry) => [folded(entry.name), entry]));
  const contentTypes = partOf(file, byName.get(TYPES_PART));
  const office = contentTypes && officeType(contentTypes, byName.keys());
  if (office) return office;
  const mimetype = partOf(file, byName.get(MIMETYPE))?.toString('latin1').trim() ?? '';
  if (isMimetypePart(mimetype)) return mimetype;
  if (byName.has(ANDROID_MANIFEST) && ANDROID_PARTS.some((name) => byName.has(name))) return APK;
  return byName.has(JAR_MANIFEST) ? JAR : null;
}

/**
 * Tells why a reader that ignores case would use other entries; null if there is no reason. Documents have no two such
 * names (ECMA-376 part 2, "Part names"; EPUB 3.3, "File paths and file names"). Other archives may have them, except for
 * the decisive entries.
 * @param type the type that the parts of the archive have shown
 */
function caseObjection(entries: readonly ZipEntry[], type: string | null): string | null {
  const names = entries.map(({ name }) => folded(name));
  const compared = NO_DOCUMENTS.includes(type) ? names.filter((name) => DECISIVE.includes(name)) : names;
  return new Set(compared).size < compared.length ? 'two entries have names that differ only in case' : null;
}

/** Marks the encrypted entries of OpenDocument (part 2, 4.8). */
const ODF_ENCRYPTION = /<(?:[\w-]+:)?encryption-data\b/;
/** Entries that iWork adds to a document with a password. */
const IWORK_PASSWORD = /(?:^|\/)\.iw(?:ph|pv2)$/;

/** The main part of an iWork document from before 2013 with a password has an invalid compression method. */
const IWORK_INDEX = /^index\.(?:xml|apxl)$/;
const IWORK_METHODS = 25_000;

/** Tells whether a document requires a password although its archive is not encrypted. */
function isEncrypted(file: ByteSource, entries: readonly ZipEntry[]): boolean {
  const isIwork = ({ name, method }: ZipEntry) =>
    IWORK_PASSWORD.test(name) || (IWORK_INDEX.test(name) && method > IWORK_METHODS);
  if (entries.some(isIwork)) return true;
  const manifest = partOf(
    file,
    entries.find(({ name }) => folded(name) === ODF_MANIFEST),
  );
  return manifest !== null && ODF_ENCRYPTION.test(xmlText(manifest));
}

/** Types that need proof by {@link typeOf}, because the head may show entries that the directory does not list. */
const PROVABLE =
  /^application\/(epub\+zip$|java-archive$|vnd\.(oasis\.|openxmlformats-|ms-[a-z]+\.[a-z.]*macroenabled|android\.|visio$))/i;

type ReadArchive = (
  file: ByteSource,
  within: ByteSource,
  scannable: number,
  detected: string,
) => Promise<Finding>;

/** Makes a reader that reports an invalid archive as opaque. */
const archiveReader =
  (readArchive: ReadArchive): Reader =>
  async ({ path, sizeBytes, detected }, { scannableBytes = SCANNABLE }) => {
    using file = new BoundedFile(path, sizeBytes, MAX_READ);
    using within = new BoundedFile(path, sizeBytes, MAX_NESTED_READ);
    try {
      return await readArchive(file, within, scannableBytes, detected);
    } catch (error) {
      if (!(error instanceof InvalidArchiveError)) throw error;
      return { opaque: error.message };
    }
  };

/**
 * Reads archives of the ZIP family: detects their type from their parts and checks that a scanner sees all content that an
 * unpacker would. Reads the directory, two small parts and nested archives. Reports as opaque an unreadable directory and
 * everything that hides content, in nested archives as well: encryption, ZIP64 (ClamAV 1.4 skips it), bombs, entries that
 * overlap or differ from the directory.
 */
export const read = archiveReader(async (file, within, scannable, detected) => {
  const directory = readDirectory(file);
  const type = typeOf(file, directory.entries);
  const encrypted = isEncrypted(file, directory.entries) ? ENCRYPTED : null;
  const objection = directory.objection ?? caseObjection(directory.entries, type);
  return {
    detected: type ?? (PROVABLE.test(detected) ? ZIP : detected),
    opaque: encrypted ?? (await objectionTo({ ...directory, objection }, within, scannable)),
  };
});

/** Reads self-extracting programs: the archive behind one follows the usual rules. Most programs have no archive. */
export const readBehind = archiveReader(async (file, within, scannable) => {
  const found = readAppendedArchive(file);
  if (found === null) return {};
  const whole = sourceSlice(within, found.start, within.sizeBytes - found.start);
  return { opaque: await objectionTo(found.directory, whole, scannable) };
});
