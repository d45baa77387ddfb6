import { fileTypeFromBuffer } from 'file-type';
import { ac3Frame, adtsFrame, isCutStream, mpegFrame } from './audio-frames.js';
import { MAY_BE_AUDIO_ONLY, withoutPictures } from './audio-only.js';
import { BoundedFile, type Pieces, piecesOf } from './bounded-file.js';
import { CUT_BYTES, isSignatureConfirmed } from './signature-checks.js';
import { taggedType } from './id3.js';
import { isoMediaType } from './iso-media.js';
import { tiffType } from './tiff.js';

/** Formats whose signature is text; every other signature in something that is all text is a coincidence ("BM", "MZ"). */
const TEXTUAL_SIGNATURES =
  /^(application\/(pdf|postscript|eps|rtf|xml|x-indesign|vnd\.ms-outlook)|text\/(calendar|vcard)|image\/x-portable-.*)$/;
/** Control characters that are no white space; terminals' escape sequences are found in honest logs. */
const BINARY = /[^\P{Cc}\s]/u;
const ESCAPE = '\u001b';

const UTF16: readonly (readonly [first: number, second: number, encoding: string])[] = [
  [0xff, 0xfe, 'utf-16le'],
  [0xfe, 0xff, 'utf-16be'],
];

/** The head as text, or null when it is none. A character cut off at the end is not held against it. */
function textOf(head: Buffer): string | null {
  const encoding = UTF16.find(([first, second]) => head[0] === first && head[1] === second)?.[2] ?? 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(head, { stream: true });
    return BINARY.test(text.replaceAll(ESCAPE, '')) ? null : text;
  } catch {
    return null;
  }
}

/** The same, but for what is letters and quotation marks in code pages other than ISO 8859. */
const BINARY_OF_OLD = /[^\P{Cc}\s\x80-\x9f]/u;

/** Says what SO and SI switch between in Korean and Chinese text of 7 bits. RFC 1557, RFC 1922. */
const DESIGNATORS = ['A', 'C', 'E', 'G'].map((set) => `${ESCAPE}$)${set}`);
const [SHIFT_OUT, SHIFT_IN] = ['\u000e', '\u000f'];

/** Text in an older encoding, of which nothing is certain but what ASCII has in it. */
function legacyTextOf(head: Buffer): string | null {
  const text = head.toString('latin1');
  const shifts = DESIGNATORS.some((designator) => text.includes(designator));
  const unshifted = shifts ? text.replaceAll(SHIFT_OUT, '').replaceAll(SHIFT_IN, '') : text;
  return BINARY_OF_OLD.test(unshifted.replaceAll(ESCAPE, '')) ? null : text;
}

const LEADING_NOISE = /^(?:\s+|<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!doctype\s+svg[^>[]*(?:\[[\s\S]*?\]\s*)?>)/i;
const HTML = /^<(?:!doctype\s+html|html|head|body|script|title|iframe|meta)\b/i;

/** XML may do without its declaration. */
const ELEMENT = /^<(?:[a-z_][\w:.-]*(?:\s[^<>]*)?\/?>|!doctype\s+[a-z_])/i;

function typeOfText(text: string): string {
  const isXml = /^\s*<\?xml\b/i.test(text);
  let rest = text;
  for (let match = LEADING_NOISE.exec(rest); match !== null; match = LEADING_NOISE.exec(rest)) {
    rest = rest.slice(match[0].length);
  }
  if (/^<(?:[a-z_][\w.-]*:)?svg[\s>/]/i.test(rest)) return 'image/svg+xml';
  if (HTML.test(rest)) return 'text/html';
  return isXml || ELEMENT.test(rest) ? 'text/xml' : 'text/plain';
}

const PDF_HEADER_WITHIN = 1024;
const BIFF_VERSIONS = '[\\0\\x02\\x04\\x08]';

/** Signatures that the library does not know. */
const PLAIN_SIGNATURES: readonly (readonly [signature: RegExp, type: string])[] = [
  // Readers pass over white space, and over the mark of UTF-8: ISO 32000-2, 7.5.2.
  [/^(?:\xef\xbb\xbf)?[\0\t\n\f\r ]*%PDF-/, 'application/pdf'],
  // Wave files of more than 4 GiB: EBU Tech 3306.
  [/^(?:RF64|BW64)[^]{4}WAVE/, 'audio/wav'],
  [/^RIFF[^]{4}RMID/, 'audio/midi'],
  // Office before its compound files: [MS-XLS] 2.4.21 of the versions 2 to 5, Word 2, Word for DOS.
  [new RegExp(`^\\t${BIFF_VERSIONS}[\\x04\\x06\\x08\\x10]\\0`), 'application/vnd.ms-excel'],
  [new RegExp('^(?:\\xdb\\xa5[\\x2d\\x3f]\\0|1\\xbe\\0\\0)'), 'application/msword'],
];

/** Streams without a header of their own, which may begin within a frame of so many bytes at most. */
const STREAMS = [
  { type: 'audio/mpeg', frameAt: mpegFrame, frameBytes: 2881 },
  { type: 'audio/aac', frameAt: adtsFrame, frameBytes: 8191 },
  { type: 'audio/vnd.dolby.dd-raw', frameAt: ac3Frame, frameBytes: 4096 },
];

/** What the library finds in these is found here, with more of the file than its first bytes. */
const OWN_MATTER = /^(ID3|II[*+]\0|MM\0[*+])/;

/** What a signature in the first bytes says; null for none that the bytes after it bear out. */
async function signatureOf(head: Buffer, file: Pieces): Promise<string | null> {
  const start = head.toString('latin1', 0, PDF_HEADER_WITHIN);
  const known = PLAIN_SIGNATURES.find(([signature]) => signature.test(start));
  if (known !== undefined) return known[1];
  const isCut = file.sizeBytes === head.length && head.length >= CUT_BYTES;
  const own = isoMediaType(head) ?? taggedType(file, isCut) ?? tiffType(file, isCut);
  if (own !== null || OWN_MATTER.test(start) || start.startsWith('ftyp', 4)) return own;
  const found = (await fileTypeFromBuffer(head))?.mime ?? null;
  return found !== null && isSignatureConfirmed(found, head) ? found : null;
}

const streamOf = (head: Buffer) =>
  STREAMS.find(({ frameAt, frameBytes }) => isCutStream(head, frameAt, frameBytes))?.type ?? null;

/**
 * The media type that the first bytes of a file show, or null when they show none. An empty file is text. Some formats say at their
 * beginning where in the file to look on: where there is only the head, what lies behind it is taken to be as it should.
 */
export async function detectType(head: Buffer, file: Pieces = piecesOf(head)): Promise<string | null> {
  const found = await signatureOf(head, file);
  const text = textOf(head) ?? (found === null ? legacyTextOf(head) : null);
  if (text === null) return found ?? streamOf(head);
  const isTextual = found !== null && TEXTUAL_SIGNATURES.test(found) && found !== 'application/xml';
  return isTextual ? found : typeOfText(text);
}

/** Of a whole file, for the types that its head alone may not show. */
const MAX_READ = 2 ** 20;

/** Types of a head behind which the file may show a more exact one, or none. */
const INCONCLUSIVE: readonly (string | null)[] = [null, 'audio/mpeg', 'image/tiff'];

/** The type of a whole file, of which the head has shown one: the more exact one, where the head was not enough; sound, where a film has no pictures. */
export async function detectInFile(
  path: string,
  sizeBytes: number,
  detected: string | null,
): Promise<string | null> {
  const mayBeSound = detected !== null && MAY_BE_AUDIO_ONLY.includes(detected);
  if (!mayBeSound && !INCONCLUSIVE.includes(detected)) return detected;
  using file = new BoundedFile(path, sizeBytes, MAX_READ);
  if (mayBeSound) return withoutPictures(detected, file);
  return detectType(file.read(0, Math.min(sizeBytes, CUT_BYTES)), file);
}
