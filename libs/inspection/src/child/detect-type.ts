import { fileTypeFromBuffer } from 'file-type';
import { ac3Frame, adtsFrame, isCutStream, mpegFrame } from './audio-frames.js';
import { MAY_BE_AUDIO_ONLY, audioOnlyType } from './audio-only.js';
import { BoundedFile, type ByteSource, bufferSource } from './bounded-file.js';
import { isSignatureConfirmed } from './signature-checks.js';
import { id3AudioType } from './id3.js';
import { isoMediaType } from './iso-media.js';
import { tiffType } from './tiff.js';

/** Formats with a textual signature. In a file that is all text, any other signature ("BM", "MZ") is a coincidence. */
const TEXTUAL_SIGNATURES =
  /^(application\/(pdf|postscript|eps|rtf|xml|x-indesign|vnd\.ms-outlook)|text\/(calendar|vcard)|image\/x-portable-.*)$/;
/** Control characters other than white space. ESC is removed before the test, because logs have terminal escapes. */
const BINARY = /[^\P{Cc}\s]/u;
const ESCAPE = '\u001b';

const UTF16: readonly (readonly [first: number, second: number, encoding: string])[] = [
  [0xff, 0xfe, 'utf-16le'],
  [0xfe, 0xff, 'utf-16be'],
];

/** Decodes the head as UTF-8 or UTF-16 text; null for binary data. A character cut off at the end is ignored. */
function textOf(head: Buffer): string | null {
  const encoding = UTF16.find(([first, second]) => head[0] === first && head[1] === second)?.[2] ?? 'utf-8';
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(head, { stream: true });
    return BINARY.test(text.replaceAll(ESCAPE, '')) ? null : text;
  } catch {
    return null;
  }
}

/** Like {@link BINARY}, but allows 0x80 to 0x9f: letters and quotation marks in code pages other than ISO 8859. */
const LEGACY_BINARY = /[^\P{Cc}\s\x80-\x9f]/u;

/** Escape sequences that select the set for SO and SI in 7-bit Korean and Chinese text: RFC 1557, RFC 1922. */
const DESIGNATORS = ['A', 'C', 'E', 'G'].map((set) => `${ESCAPE}$)${set}`);
const [SHIFT_OUT, SHIFT_IN] = ['\u000e', '\u000f'];

/** Decodes the head as text in a legacy encoding; only its ASCII characters are reliable. Null for binary data. */
function legacyTextOf(head: Buffer): string | null {
  const text = head.toString('latin1');
  const shifts = DESIGNATORS.some((designator) => text.includes(designator));
  const unshifted = shifts ? text.replaceAll(SHIFT_OUT, '').replaceAll(SHIFT_IN, '') : text;
  return LEGACY_BINARY.test(unshifted.replaceAll(ESCAPE, '')) ? null : text;
}

const LEADING_NOISE = /^(?:\s+|<!--[\s\S]*?-->|<\?[\s\S]*?\?>|<!doctype\s+svg[^>[]*(?:\[[\s\S]*?\]\s*)?>)/i;
const HTML = /^<(?:!doctype\s+html|html|head|body|script|title|iframe|meta)\b/i;

/** An element or a doctype; the XML declaration is optional. */
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

/** Length of the head that type detection reads, in bytes. */
export const HEAD_BYTES = 65_536;

const PDF_HEADER_WITHIN = 1024;
const BIFF_VERSIONS = '[\\0\\x02\\x04\\x08]';

/** Signatures that `file-type` does not detect. */
const PLAIN_SIGNATURES: readonly (readonly [signature: RegExp, type: string])[] = [
  // Readers skip white space and a UTF-8 byte order mark: ISO 32000-2, 7.5.2.
  [/^(?:\xef\xbb\xbf)?[\0\t\n\f\r ]*%PDF-/, 'application/pdf'],
  // WAVE files larger than 4 GiB: EBU Tech 3306.
  [/^(?:RF64|BW64)[^]{4}WAVE/, 'audio/wav'],
  [/^RIFF[^]{4}RMID/, 'audio/midi'],
  // Office formats older than compound files: Excel 2 to 5 ([MS-XLS] 2.4.21), Word 2, Word for DOS.
  [new RegExp(`^\\t${BIFF_VERSIONS}[\\x04\\x06\\x08\\x10]\\0`), 'application/vnd.ms-excel'],
  [new RegExp('^(?:\\xdb\\xa5[\\x2d\\x3f]\\0|1\\xbe\\0\\0)'), 'application/msword'],
];

/** Streams without a file header. A cut stream may begin inside a frame, which has at most `frameBytes` bytes. */
const STREAMS = [
  { type: 'audio/mpeg', frameAt: mpegFrame, frameBytes: 2881 },
  { type: 'audio/aac', frameAt: adtsFrame, frameBytes: 8191 },
  { type: 'audio/vnd.dolby.dd-raw', frameAt: ac3Frame, frameBytes: 4096 },
];

/** Signatures that `file-type` is not asked about: `id3.ts` and `tiff.ts` may read more of the file than its head. */
const OWN_DETECTION = /^(ID3|II[*+]\0|MM\0[*+])/;

/** The type of the signature in the first bytes; null without one, or when the bytes after it contradict it. */
async function signatureOf(head: Buffer, sizeBytes: number, file: ByteSource): Promise<string | null> {
  const start = head.toString('latin1', 0, PDF_HEADER_WITHIN);
  const known = PLAIN_SIGNATURES.find(([signature]) => signature.test(start));
  if (known !== undefined) return known[1];
  const isCut = file.sizeBytes < sizeBytes;
  const own = isoMediaType(head) ?? id3AudioType(file, isCut) ?? tiffType(file, isCut);
  if (own !== null || OWN_DETECTION.test(start) || start.startsWith('ftyp', 4)) return own;
  const found = (await fileTypeFromBuffer(head))?.mime ?? null;
  return found !== null && isSignatureConfirmed(found, head, head.length < sizeBytes) ? found : null;
}

const streamOf = (head: Buffer) =>
  STREAMS.find(({ frameAt, frameBytes }) => isCutStream(head, frameAt, frameBytes))?.type ?? null;

/**
 * Detects the media type by the first bytes of a file; null for unknown formats. An empty file is text. TIFF and ID3
 * headers point to later offsets: bytes of the file that `file` does not have are assumed to be valid.
 * @param head the first bytes of the file, at most {@link HEAD_BYTES}
 * @param sizeBytes size of the whole file
 * @param file the bytes that may be read: the head, or the whole file
 */
export async function detectType(
  head: Buffer,
  sizeBytes = head.length,
  file: ByteSource = bufferSource(head),
): Promise<string | null> {
  const found = await signatureOf(head, sizeBytes, file);
  const text = textOf(head) ?? (found === null ? legacyTextOf(head) : null);
  if (text === null) return found ?? streamOf(head);
  const isTextual = found !== null && TEXTUAL_SIGNATURES.test(found) && found !== 'application/xml';
  return isTextual ? found : typeOfText(text);
}

/** Bytes that detection may read from a whole file, in all reads together. */
const MAX_READ = 2 ** 20;

/** Types that the head alone does not prove: reading more of the file may yield a more exact type, or none. */
const INCONCLUSIVE: readonly (string | null)[] = [null, 'audio/mpeg', 'image/tiff'];

/**
 * Refines the type that the head of a file has shown by reading more of the file: a more exact type where the head was
 * inconclusive, an audio type for a video container without a video track. Other types are returned as they are.
 */
export async function detectInFile(
  path: string,
  sizeBytes: number,
  detected: string | null,
): Promise<string | null> {
  const mayBeAudioOnly = detected !== null && MAY_BE_AUDIO_ONLY.includes(detected);
  if (!mayBeAudioOnly && !INCONCLUSIVE.includes(detected)) return detected;
  using file = new BoundedFile(path, sizeBytes, MAX_READ);
  if (mayBeAudioOnly) return audioOnlyType(detected, file);
  return detectType(file.read(0, Math.min(sizeBytes, HEAD_BYTES)), sizeBytes, file);
}
