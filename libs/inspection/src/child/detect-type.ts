import { fileTypeFromBuffer } from 'file-type';
import { isCorroborated } from './corroboration.js';

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

/** The media type that the first bytes of a file show, or null when they show none. An empty file is text. */
export async function detectType(head: Buffer): Promise<string | null> {
  const signature = (await fileTypeFromBuffer(head))?.mime ?? null;
  const found = signature !== null && isCorroborated(signature, head) ? signature : null;
  const text = textOf(head) ?? (found === null ? legacyTextOf(head) : null);
  if (text === null || (found !== null && TEXTUAL_SIGNATURES.test(found) && found !== 'application/xml'))
    return found;
  return typeOfText(text);
}
