import { describe, expect, it } from '@jest/globals';
import { parseFilename } from './filename.js';

const code = (point: number) => String.fromCodePoint(point);

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
    [`👩${code(0x200d)}💻.png`, `👩${code(0x200d)}💻.png`],
    [`❤${code(0xfe0f)}.gif`, `❤${code(0xfe0f)}.gif`],
    [`می${code(0x200c)}خواهم.txt`, `می${code(0x200c)}خواهم.txt`],
    ['x'.repeat(255), 'x'.repeat(255)],
  ])('takes %p as %p', (given, taken) => {
    expect(parseFilename(given)).toBe(taken);
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
    ['zero-width joiner between Latin letters', `pay${code(0x200d)}pal.pdf`],
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
});
