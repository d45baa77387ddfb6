import { describe, expect, it, jest } from '@jest/globals';
import { parseFilename } from './filename.js';

const code = (point: number) => String.fromCodePoint(point);
const [ZWNJ, ZWJ, FE0F] = [code(0x200c), code(0x200d), code(0xfe0f)];

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
    // As many bytes as there may be, out of as much text as can become them.
    [`${code(0x3b1)}${code(0x313)}${code(0x300)}${code(0x345)}`.repeat(85), code(0x1f82).repeat(85)],
  ])('takes %p as %p', (given, taken) => {
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
  ])('takes what writing needs: %s', (name) => {
    expect(parseFilename(name)).toBe(name.normalize('NFC'));
  });

  it.each([
    ['empty', ''],
    ['blank', '   '],
    ['a path', '../../etc/passwd'],
    ['a Windows path', 'C:\\boot.ini'],
    ['the folder', '.'],
    ['the parent', '..'],
    ['NUL', `a.php${code(0)}.jpg`],
    ['CR LF', 'a\r\nX-Header: 1'],
    ['right-to-left override', `photo${code(0x202e)}gpj.exe`],
    ['isolate', `a${code(0x2066)}b`],
    ['zero-width space', `a${code(0x200b)}b`],
    ['zero-width joiner between Latin letters', `pay${ZWJ}pal.pdf`],
    ['zero-width joiner between Cyrillic letters', `от${ZWJ}чёт.pdf`],
    ['zero-width non-joiner between Greek letters', `λό${ZWNJ}γος.pdf`],
    ['zero-width joiner between ideographs', `日${ZWJ}本.pdf`],
    ['zero-width joiner between a letter and an emoji', `a${ZWJ}😀.png`],
    ['zero-width joiner after an emoji', `😀${ZWJ}.png`],
    ['zero-width joiner before an emoji', `${ZWJ}😀.png`],
    ['zero-width non-joiner between emoji', `👩${ZWNJ}💻.png`],
    ['two zero-width joiners', `👩${ZWJ}${ZWJ}💻.png`],
    ['zero-width non-joiner at the end of a Persian word', `می${ZWNJ}.txt`],
    ['zero-width non-joiner at the beginning of a Persian word', `${ZWNJ}می.txt`],
    ['zero-width joiner between Arabic and Latin letters', `م${ZWJ}a.txt`],
    ['zero-width joiner behind a mark of several scripts', `a${code(0x951)}${ZWJ}b`],
    ['zero-width joiner between Arabic digits', `٣${ZWJ}٤.txt`],
    ['variation selector behind a Latin letter', `invoice${FE0F}.pdf`],
    ['variation selector behind a digit', `1${FE0F}.pdf`],
    ['variation selector behind a dot', `a.${FE0F}pdf`],
    ['variation selector at the beginning', `${FE0F}a.pdf`],
    ['variation selector behind an ideograph', `日${FE0F}.pdf`],
    ['variation selector behind a sign that is no emoji', `★${FE0F}.gif`],
    ['two variation selectors', `❤${FE0F}${FE0F}.gif`],
    ['text variation selector', `❤${code(0xfe0e)}.gif`],
    ['byte order mark', `${code(0xfeff)}a`],
    ['soft hyphen', `a${code(0xad)}b`],
    ['Hangul filler', `a${code(0x3164)}b`],
    ['tag character', `a${code(0xe0041)}b`],
    ['line separator', `a${code(0x2028)}b`],
    ['lone surrogate', 'a\ud800b'],
    ['256 bytes', 'x'.repeat(256)],
    ['256 bytes of multibyte text', 'é'.repeat(128)],
  ])('refuses %s', (_, given) => {
    expect(() => parseFilename(given, ['input', 'filename'])).toThrow(
      expect.objectContaining({
        kind: 'invalid',
        reason: 'FILENAME_INVALID',
        inputPath: ['input', 'filename'],
      }),
    );
  });

  it('does not bring into order what is much too long: with marks that takes minutes', () => {
    const normalize = jest.spyOn(String.prototype, 'normalize');
    const name = `a${(code(0x301) + code(0x316)).repeat(1_000)}`;
    expect(() => parseFilename(name)).toThrow(expect.objectContaining({ reason: 'FILENAME_INVALID' }));
    expect(normalize).not.toHaveBeenCalled();
    normalize.mockRestore();
  });
});
