import { describe, expect, it } from '@jest/globals';
import { foldMediaType } from '#libs/domain';
import { officeParts, zipArchive } from '../testing/index.js';
import { detectType } from './detect-type.js';

const utf16 = (text: string, littleEndian: boolean) => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le');
  return littleEndian ? bytes : bytes.swap16();
};

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';
const lateDocument = zipArchive([
  { name: 'media', content: Buffer.alloc(200_000, 'x'), method: 0 },
  ...officeParts(`${DOCX}.main+xml`),
]).subarray(0, 65_536);

function jpegWithComment(comment: string): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(comment.length + 2);
  return Buffer.concat([
    Buffer.from('ffd8fffe', 'hex'),
    length,
    Buffer.from(comment),
    Buffer.from('ffd9', 'hex'),
  ]);
}

const noise = (bytes: number) => Buffer.alloc(bytes, Buffer.from('9c01fe80', 'hex'));
const mp3Frame = Buffer.concat([Buffer.from('fffb9000', 'hex'), noise(413)]);

/** The `ftyp` box of an ISO base media file with compatible brands, then an `mdat` box. */
const brands = (major: string, ...compatible: string[]) =>
  Buffer.from(
    `\0\0\0${String.fromCharCode(16 + 4 * compatible.length)}ftyp${major}\0\0\0\0${compatible.join('')}\0\0\0\x08mdat\xff`,
    'latin1',
  );

function icon(start: string): Buffer {
  const bytes = Buffer.concat([Buffer.alloc(22), Buffer.from(start, 'latin1'), noise(100)]);
  bytes.writeUInt16LE(1, 2);
  bytes.writeUInt16LE(1, 4);
  bytes.writeUInt32LE(100, 14);
  bytes.writeUInt32LE(22, 18);
  return bytes;
}

/** A TGA without image ID and colour map: true colour, 128 × 128 pixels. */
const tga = Buffer.concat([Buffer.from('000002000000000000000000800080001800', 'hex'), noise(900)]);

/** The `ftyp` box of an ISO base media file with one brand. */
const ftyp = (brand: string) =>
  Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0${brand}\0\0\0\0\xff\xfe`, 'latin1');

it('takes linear time for text made to cause regex backtracking', async () => {
  // Quadratic matching would take hours for 1 MiB.
  for (const part of ['<!--', '<?', '<a ', '< ', '<!doctype svg [', ' \n']) {
    expect(
      await detectType(Buffer.from(`<!doctype svg${part.repeat(2 ** 20 / part.length)}`)),
    ).not.toBeNull();
    expect(await detectType(Buffer.from(part.repeat(2 ** 20 / part.length)))).not.toBeNull();
  }
});

describe('detectType', () => {
  it.each<[string, Buffer | string, string | null]>([
    ['an empty file', '', 'text/plain'],
    ['one letter', 'a', 'text/plain'],
    ['a zero byte', Buffer.alloc(1), null],
    ['zero bytes', Buffer.alloc(5000), null],
    ['noise', Buffer.from([0x9c, 0x01, 0xfe, 0x80, 0x00, 0x33]), null],
    ['text', 'Grüße\n', 'text/plain'],
    ['text cut inside a character', Buffer.from('Grüße', 'utf8').subarray(0, 3), 'text/plain'],
    ['text in Latin-1', Buffer.from('Gr\xfc\xdfe', 'latin1'), 'text/plain'],
    ['text in Windows-1252', Buffer.from('\x93Gr\xfc\xdfe\x94, 5 \x80', 'latin1'), 'text/plain'],
    ['text in Shift JIS', Buffer.from('93fa967b8cea', 'hex'), 'text/plain'],
    ['text in ISO-2022-KR', Buffer.from('\x1b$)C\x0eGQ1[\x0f (Hangul)', 'latin1'), 'text/plain'],
    ['SO and SI without a designator', Buffer.from('\x0eGQ1[\x0f (Hangul)', 'latin1'), null],
    ['HTML in Latin-1', Buffer.from('<!-- \xfc --><html>\xe9</html>', 'latin1'), 'text/html'],
    ['SVG in Latin-1', Buffer.from('<svg>\xe9</svg>', 'latin1'), 'image/svg+xml'],
    ['Latin-1 with a zero byte', Buffer.from('Gr\xfc\xdfe\0', 'latin1'), null],
    ['Latin-1 with a bell character', Buffer.from('Gr\xfc\xdfe\x07', 'latin1'), null],
    ['a coloured log', '\u001b[31mred\u001b[0m\n', 'text/plain'],
    ['text with a BMP signature', 'BM is short for many things, and this is text.', 'text/plain'],
    ['text with an EXE signature', 'MZ was a Porsche', 'text/plain'],
    ['text with a GIF signature', 'GIF89a', 'text/plain'],
    ['text with an ID3 signature', 'ID3 decision trees', 'text/plain'],
    ['JSON', '{"a":1}', 'text/plain'],
    ['CSV', 'a,b\n1,2\n', 'text/plain'],
    ['RTF', '{\\rtf1\\ansi hello}', 'application/rtf'],
    ['PDF', '%PDF-1.7\n%âãÏÓ\n', 'application/pdf'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
    [
      'SVG after a byte order mark, a comment and a doctype',
      '\ufeff \n<?xml version="1.0"?>\n<!-- x --><!DOCTYPE svg PUBLIC "a" "b" [<!ENTITY x "y">]>\n<svg:svg/>',
      'image/svg+xml',
    ],
    ['SVG in UTF-16', utf16('<svg/>', true), 'image/svg+xml'],
    ['XML', '<?xml version="1.0"?><a/>', 'text/xml'],
    ['XML without a declaration', '<rss version="2.0"><channel/></rss>', 'text/xml'],
    ['text that begins with an angle bracket', '<3 you', 'text/plain'],
    ['HTML', '<!DOCTYPE html><p>', 'text/html'],
    ['HTML after a comment', '<!-- \n -->\n<HTML>', 'text/html'],
    ['HTML in big-endian UTF-16', utf16('<html>', false), 'text/html'],
    ['a script', '<script>alert(1)</script>', 'text/html'],
    ['HTML in UTF-7', '+/v8-+ADw-script+AD4-alert(1)+ADw-/script+AD4-', 'text/plain'],
    ['HTML in UTF-16 without a byte order mark', Buffer.from('<html>', 'utf16le'), null],
    [
      'SVG with scripts and external references',
      '<svg onload="alert(1)"><script>alert(1)</script><foreignObject/><use href="x#y"/><image href="http://x/"/></svg>',
      'image/svg+xml',
    ],
    [
      'XML with entities',
      '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "b"><!ENTITY x SYSTEM "file:///etc/passwd">]><lolz>&a;&x;</lolz>',
      'text/xml',
    ],
    [
      'XML with entities and without a declaration',
      '<!DOCTYPE lolz [<!ENTITY a "b">]><lolz>&a;</lolz>',
      'text/xml',
    ],
    ['a JPEG with a script in its comment', jpegWithComment('<script>alert(1)</script>'), 'image/jpeg'],
    ['a GIF that is also a script', Buffer.from('GIF89a/*\0\0\xf7*/=1;alert(1)\0', 'latin1'), 'image/gif'],
    [
      'a JPEG with an appended archive',
      Buffer.concat([jpegWithComment(''), zipArchive([{ name: 'a' }])]),
      'image/jpeg',
    ],
    [
      'a PDF with an appended archive',
      Buffer.concat([Buffer.from('%PDF-1.7\n'), zipArchive([{ name: 'a' }])]),
      'application/pdf',
    ],
    ['an MP4 video', ftyp('isom'), 'video/mp4'],
    ['a HEIC', ftyp('heic'), 'image/heic'],
    ['an AVIF', ftyp('avif'), 'image/avif'],
    ['a video of an unknown brand', ftyp('zzzz'), 'video/mp4'],
    ['an ftyp box with an unprintable brand', ftyp('\0\xff<s'), null],
    ['an office document', zipArchive(officeParts(`${DOCX}.main+xml`)), DOCX],
    ['an office document whose content types are beyond the head', lateDocument, 'application/zip'],
    ['PNG', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'image/png'],
    ['ZIP', Buffer.from('504b0304140000000000', 'hex'), 'application/zip'],
    ['a HEIC by a compatible brand', brands('mif1', 'mif1', 'heic'), 'image/heic'],
    ['an AVIF by a compatible brand', brands('mif1', 'miaf', 'avif'), 'image/avif'],
    ['an AVIF sequence', brands('msf1', 'msf1', 'avis'), 'image/avif'],
    ['a HEIF with structural brands only', brands('mif1', 'mif1'), 'image/heif'],
    ['a video with a compatible image brand', brands('isom', 'heic'), 'video/mp4'],
    ['an image with a compatible video brand', brands('heic', 'mif1', 'isom'), 'image/heic'],
    ['QuickTime', brands('qt  ', 'qt  '), 'video/quicktime'],
    ['QuickTime by a compatible brand', brands('niko', 'qt  '), 'video/quicktime'],
    ['M4A', brands('M4A ', 'M4A ', 'mp42', 'isom'), 'audio/mp4'],
    ['3GPP', brands('3gp5', '3gp5'), 'video/3gpp'],
    ['an ftyp box larger than the head', brands('mif1').fill(0xff, 0, 4), 'image/heif'],
    [
      'QuickTime that begins with a preview box',
      Buffer.from('\0\0\0\x14pnot\xff\xff', 'latin1'),
      'video/quicktime',
    ],
    ['a PDF after a line break', '\r\n%PDF-1.4\n%âãÏÓ\n', 'application/pdf'],
    ['a PDF after a byte order mark and spaces', '\ufeff  %PDF-1.4\n', 'application/pdf'],
    ['HTML before a PDF', '<html>\n%PDF-1.4', 'text/html'],
    ['text before a PDF', 'x\n%PDF-1.4', 'text/plain'],
    ['a TGA', tga, null],
    ['an icon that holds a PNG', icon('\x89PNG'), 'image/vnd.microsoft.icon'],
    ['an icon that holds a bitmap', icon('\x28\0\0\0'), 'image/vnd.microsoft.icon'],
    ['an icon directory without an image', icon('junk'), null],
    ['a GIF signature with an unknown version', Buffer.from('GIF90a\0\xff', 'latin1'), null],
    ['LaTeX with a PostScript signature', '%!TEX program = xelatex\n\\documentclass{article}', 'text/plain'],
    ['PostScript', '%!PS-Adobe-3.0\n', 'application/postscript'],
    ['zlib data', Buffer.concat([Buffer.from('7801', 'hex'), noise(500)]), null],
    ['an ILBM image in an IFF container', Buffer.from('FORM\0\0\x01\0ILBMBMHD\0\xff', 'latin1'), null],
    ['AIFF-C audio in an IFF container', Buffer.from('FORM\0\0\x01\0AIFCFVER\0\xff', 'latin1'), 'audio/aiff'],
    ['a WAVE file in RF64', Buffer.from('RF64\xff\xff\xff\xffWAVEds64\0', 'latin1'), 'audio/wav'],
    ['MIDI in a RIFF container', Buffer.from('RIFF\x40\0\0\0RMIDdata\0', 'latin1'), 'audio/midi'],
    [
      'a spreadsheet older than compound files',
      Buffer.from('0904060000001000', 'hex'),
      'application/vnd.ms-excel',
    ],
    [
      'MP3 cut within a frame',
      Buffer.concat([noise(300), mp3Frame, mp3Frame, mp3Frame, mp3Frame]),
      'audio/mpeg',
    ],
    ['noise around two MP3 frames', Buffer.concat([noise(300), mp3Frame, mp3Frame, noise(900)]), null],
    [
      'MP3 frames too far from the start',
      Buffer.concat([noise(9000), mp3Frame, mp3Frame, mp3Frame, mp3Frame]),
      null,
    ],
    [
      'AC-3',
      Buffer.concat([0, 1].map(() => Buffer.concat([Buffer.from('0b77000014402f84', 'hex'), noise(760)]))),
      'audio/vnd.dolby.dd-raw',
    ],
    [
      'noise after one AC-3 frame header',
      Buffer.concat([Buffer.from('0b77000014402f84', 'hex'), noise(3000)]),
      null,
    ],
    ['WavPack', Buffer.from('wvpk|\0\0\0\x10\x04\0\0\xff', 'latin1'), 'audio/wavpack'],
    ['ICNS', Buffer.from('icns\0\0\x01\0ic07\xff', 'latin1'), 'image/icns'],
    ['a vCard', 'BEGIN:VCARD\nVERSION:3.0', 'text/vcard'],
    ['ELF', Buffer.from('7f454c4602010100', 'hex'), 'application/x-elf'],
  ])('detects the type of %s', async (_, bytes, type) => {
    const found = await detectType(Buffer.from(bytes));
    expect(found && foldMediaType(found)).toBe(type && foldMediaType(type));
  });
});
