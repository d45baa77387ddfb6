import { describe, expect, it, jest } from '@jest/globals';
import { parseFilename } from './filename.js';

const code = (point: number) => String.fromCodePoint(point);
const [ZWNJ, ZWJ, FE0F] = [code(0x200c), code(0x200d), code(0xfe0f)];
/** The tags of a flag: https://www.unicode.org/reports/tr51/#def_emoji_tag_sequence */
const tags = (text: string) =>
  [...text].map((char) => code(0xe0000 + char.charCodeAt(0))).join('') + code(0xe007f);

function cleanedOrNull(name: string): string | null {
  try {
    return parseFilename(name);
  } catch {
    return null;
  }
}

describe('parseFilename', () => {
  it.each([
    ['holiday.jpg', 'holiday.jpg'],
    ['a.jpg.php', 'a.jpg.php'],
    ['"><img src=x onerror=alert(1)>.png', '"><img src=x onerror=alert(1)>.png'],
    ['$(id).mp4', '$(id).mp4'],
    ['-rf', '-rf'],
    ['CON', 'CON'],
    ['trailing. ', 'trailing. '],
    [`cafe${code(0x301)}.txt`, 'café.txt'],
    ['日本語.pdf', '日本語.pdf'],
    ['😀.png', '😀.png'],
    ['x'.repeat(255), 'x'.repeat(255)],
    // The maximum of 255 bytes, from the longest text that NFC composes to it.
    [`${code(0x3b1)}${code(0x313)}${code(0x300)}${code(0x345)}`.repeat(85), code(0x1f82).repeat(85)],
  ])('accepts %p as %p', (given, taken) => {
    expect(parseFilename(given)).toBe(taken);
  });

  it.each([
    `❤${FE0F}.gif`,
    `©${FE0F} 2026.txt`,
    `1${FE0F}${code(0x20e3)}.png`,
    `👩${ZWJ}💻.png`,
    `👩🏽${ZWJ}❤${FE0F}${ZWJ}👨🏿.png`,
    `👨${ZWJ}👩${ZWJ}👧${ZWJ}👦 holiday.jpg`,
    `🏳${FE0F}${ZWJ}🌈.svg`,
    `🏃🏻${ZWJ}♀${FE0F}${ZWJ}➡${FE0F}.png`,
    `می${ZWNJ}خواهم.txt`,
    `کتاب${ZWNJ}ها.pdf`,
    `क्${ZWJ}ष.txt`,
    `हार्ड्${ZWNJ}वेयर.pdf`,
    `র${ZWJ}্যাম.txt`,
    `ශ්${ZWJ}රී ලංකා.pdf`,
    `അവന്${ZWJ}.pdf`,
    `উৎসব ত্${ZWJ}.pdf`,
    `ꦏ꧀${ZWJ}ꦏ.txt`,
    `ಸಾಫ್ಟ್${ZWNJ}ವೇರ್.txt`,
    `葛${code(0xe0100)}城市.txt`,
    `▶${code(0xfe0e)}.txt`,
    `ᠮᠣᠩᠭᠣᠯ${code(0x180e)}ᠠ ᠪᠢᠴᠢᠭ${code(0x180b)}.txt`,
    `🏴${tags('gbeng')}.txt`,
    `🏴${tags('gbsct')}🏴${tags('gbwls')}.txt`,
  ])('keeps characters that shape their neighbour: %s', (name) => {
    expect(parseFilename(name)).toBe(name.normalize('NFC'));
  });

  it.each([
    ['a soft hyphen', `Scherm${code(0xad)}afbeelding.png`, 'Schermafbeelding.png'],
    ['a left-to-right mark', `${code(0x200e)}IMG-0001.txt`, 'IMG-0001.txt'],
    ['a right-to-left mark', `שלום${code(0x200f)} (1).pdf`, 'שלום (1).pdf'],
    ['an Arabic letter mark', `${code(0x61c)}تقرير.pdf`, 'تقرير.pdf'],
    ['an embedding, as in paths copied on Windows', `${code(0x202a)}report.pdf${code(0x202c)}`, 'report.pdf'],
    ['a zero-width space', `សួស្តី${code(0x200b)}ពិភពលោក.txt`, 'សួស្តីពិភពលោក.txt'],
    ['a word joiner', `10${code(0x2060)}kg.txt`, '10kg.txt'],
    ['a byte order mark', `${code(0xfeff)}a.csv`, 'a.csv'],
    ['a Hangul filler', `a${code(0x3164)}b`, 'ab'],
    ['a zero-width space before a joiner', `می${code(0x200b)}${ZWNJ}خواهم`, 'میخواهم'],
    ['a second joiner', `👩${ZWJ}${ZWJ}💻.png`, `👩${ZWJ}💻.png`],
    ['a second variation selector', `❤${FE0F}${code(0xfe0e)}${FE0F}.gif`, `❤${FE0F}.gif`],
    ['tags without a flag', `a${tags('ignore all')}.txt`, 'a.txt'],
    ['tags that do not end', `🏴${tags('gbeng').slice(0, -2)}.txt`, '🏴.txt'],
    ['a line separator', `one${code(0x2028)}two.txt`, 'one two.txt'],
    ['a paragraph separator', `one${code(0x2029)}two.txt`, 'one two.txt'],
    ['half an emoji', `cut off \ud83d.txt`, 'cut off \ufffd.txt'],
    ['a soft hyphen between a letter and its accent', `e${code(0xad)}${code(0x301)}.txt`, 'é.txt'],
    ['soft hyphens that make the name too long', `${code(0xad)}x`.repeat(255), 'x'.repeat(255)],
  ])('removes or replaces %s', (_, given, cleaned) => {
    expect(parseFilename(given)).toBe(cleaned);
  });

  it.each([
    ['empty', ''],
    ['blank', '   '],
    ['a path', '../../etc/passwd'],
    ['a Windows path', 'C:\\boot.ini'],
    ['the current directory', '.'],
    ['the parent directory', '..'],
    ['the parent directory hidden by a mark', `.${code(0x200e)}.`],
    ['the parent directory hidden by a joiner', `.${ZWNJ}.${ZWJ}`],
    ['the parent directory with a space', '.. '],
    ['only characters without a glyph', [0x200b, 0xad, 0x200d, 0xfe0f, 0x3164].map(code).join('')],
    ['only tags of a flag', tags('gbeng')],
    ['NUL', `a.php${code(0)}.jpg`],
    ['CR LF', 'a\r\nX-Header: 1'],
    ['a C1 control', `a${code(0x85)}b`],
    ['DEL', `a${code(0x7f)}b`],
    ['a left-to-right override', `photo${code(0x202d)}gpj.exe`],
    ['a right-to-left override', `photo${code(0x202e)}gpj.exe`],
    ['an override among removed characters', `a${code(0xad)}${code(0x202e)}${code(0x200b)}gnp.exe`],
    ...[0x2066, 0x2067, 0x2068, 0x2069].map((point) => ['an isolate', `a${code(point)}b`] as const),
    ['256 bytes', 'x'.repeat(256)],
    ['256 bytes of multibyte text', 'é'.repeat(128)],
    ['10 MB', 'x'.repeat(10_000_000)],
  ])('rejects %s', (_, given) => {
    expect(() => parseFilename(given, ['input', 'filename'])).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        reason: 'FILENAME_INVALID',
        inputPath: ['input', 'filename'],
      }),
    );
  });

  it('is idempotent for every combination of three characters', () => {
    const points = Array.from({ length: 0x2ff }, (_, index) => index).concat(
      Array.from({ length: 0x200 }, (_, index) => 0x1f00 + index),
      Array.from({ length: 0x70 }, (_, index) => 0x2000 + index),
      [
        0x34f, 0x61c, 0x1160, 0x1100, 0x1161, 0x17b4, 0x180b, 0x180e, 0x180f, 0xac00, 0xfe00, 0xfe0f, 0xfeff,
        0xd800, 0xdc00,
      ],
      [0x1f3f4, 0x1f469, 0xe0001, 0xe0020, 0xe0067, 0xe007f, 0xe0100],
    );
    const neighbours = [0x61, 0x301, 0x200b, 0x200d, 0xfe0f, 0x1f3f4, 0xe0067, 0xe007f, 0xd83d];
    for (const point of points) {
      for (const before of neighbours) {
        for (const after of neighbours) {
          const given = `${code(before)}${code(point)}${code(after)}.txt`;
          const cleaned = cleanedOrNull(given);
          if (cleaned !== null && cleanedOrNull(cleaned) !== cleaned) throw new Error(JSON.stringify(given));
        }
      }
    }
  });

  it('does not normalize overlong text, which takes minutes with combining marks', () => {
    const normalize = jest.spyOn(String.prototype, 'normalize');
    const name = `a${(code(0x301) + code(0x316)).repeat(1_000)}`;
    expect(() => parseFilename(name)).toThrow(expect.objectContaining({ reason: 'FILENAME_INVALID' }));
    expect(normalize).not.toHaveBeenCalled();
    normalize.mockRestore();
  });
});
