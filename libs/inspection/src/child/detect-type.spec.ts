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

/** The first box of a file with several brands. */
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

/** A TGA: no name, no colour map, true colour; 128 pixels a side. */
const tga = Buffer.concat([Buffer.from('000002000000000000000000800080001800', 'hex'), noise(900)]);

/** The first box of an ISO base media file. */
const ftyp = (brand: string) =>
  Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0${brand}\0\0\0\0\xff\xfe`, 'latin1');

it('comes to an end with what was made to make it slow', async () => {
  // Quadratic matching would take hours for a mebibyte.
  for (const part of ['<!--', '<?', '<a ', '< ', '<!doctype svg [', ' \n']) {
    expect(
      await detectType(Buffer.from(`<!doctype svg${part.repeat(2 ** 20 / part.length)}`)),
    ).not.toBeNull();
    expect(await detectType(Buffer.from(part.repeat(2 ** 20 / part.length)))).not.toBeNull();
  }
});

describe('detectType', () => {
  it.each<[string, Buffer | string, string | null]>([
    ['nothing', '', 'text/plain'],
    ['one letter', 'a', 'text/plain'],
    ['a zero byte', Buffer.alloc(1), null],
    ['zeros', Buffer.alloc(5000), null],
    ['noise', Buffer.from([0x9c, 0x01, 0xfe, 0x80, 0x00, 0x33]), null],
    ['text', 'Grüße\n', 'text/plain'],
    ['text cut inside a character', Buffer.from('Grüße', 'utf8').subarray(0, 3), 'text/plain'],
    ['text in Latin-1', Buffer.from('Gr\xfc\xdfe', 'latin1'), 'text/plain'],
    ['text in Windows-1252', Buffer.from('\x93Gr\xfc\xdfe\x94, 5 \x80', 'latin1'), 'text/plain'],
    ['text in Shift JIS', Buffer.from('93fa967b8cea', 'hex'), 'text/plain'],
    ['text in ISO-2022-KR', Buffer.from('\x1b$)C\x0eGQ1[\x0f (Hangul)', 'latin1'), 'text/plain'],
    ['text that shifts out of nothing', Buffer.from('\x0eGQ1[\x0f (Hangul)', 'latin1'), null],
    ['HTML in Latin-1', Buffer.from('<!-- \xfc --><html>\xe9</html>', 'latin1'), 'text/html'],
    ['SVG in Latin-1', Buffer.from('<svg>\xe9</svg>', 'latin1'), 'image/svg+xml'],
    ['Latin-1 and a zero', Buffer.from('Gr\xfc\xdfe\0', 'latin1'), null],
    ['Latin-1 and a bell', Buffer.from('Gr\xfc\xdfe\x07', 'latin1'), null],
    ['a coloured log', '\u001b[31mred\u001b[0m\n', 'text/plain'],
    ['text that begins like a bitmap', 'BM is short for many things, and this is text.', 'text/plain'],
    ['text that begins like a program', 'MZ was a Porsche', 'text/plain'],
    ['text that begins like a GIF', 'GIF89a', 'text/plain'],
    ['text that begins like MP3 tags', 'ID3 decision trees', 'text/plain'],
    ['JSON', '{"a":1}', 'text/plain'],
    ['CSV', 'a,b\n1,2\n', 'text/plain'],
    ['RTF', '{\\rtf1\\ansi hello}', 'application/rtf'],
    ['PDF', '%PDF-1.7\n%âãÏÓ\n', 'application/pdf'],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml'],
    [
      'SVG behind noise',
      '\ufeff \n<?xml version="1.0"?>\n<!-- x --><!DOCTYPE svg PUBLIC "a" "b" [<!ENTITY x "y">]>\n<svg:svg/>',
      'image/svg+xml',
    ],
    ['SVG in UTF-16', utf16('<svg/>', true), 'image/svg+xml'],
    ['XML', '<?xml version="1.0"?><a/>', 'text/xml'],
    ['XML without its declaration', '<rss version="2.0"><channel/></rss>', 'text/xml'],
    ['text that begins with an angle', '<3 you', 'text/plain'],
    ['HTML', '<!DOCTYPE html><p>', 'text/html'],
    ['HTML behind a comment', '<!-- \n -->\n<HTML>', 'text/html'],
    ['HTML in UTF-16, either way', utf16('<html>', false), 'text/html'],
    ['a script', '<script>alert(1)</script>', 'text/html'],
    ['HTML in UTF-7', '+/v8-+ADw-script+AD4-alert(1)+ADw-/script+AD4-', 'text/plain'],
    ['HTML in UTF-16 without its mark', Buffer.from('<html>', 'utf16le'), null],
    [
      'SVG with all that it can do',
      '<svg onload="alert(1)"><script>alert(1)</script><foreignObject/><use href="x#y"/><image href="http://x/"/></svg>',
      'image/svg+xml',
    ],
    [
      'XML with entities',
      '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "b"><!ENTITY x SYSTEM "file:///etc/passwd">]><lolz>&a;&x;</lolz>',
      'text/xml',
    ],
    ['the same without its declaration', '<!DOCTYPE lolz [<!ENTITY a "b">]><lolz>&a;</lolz>', 'text/xml'],
    ['a JPEG with a script in its comment', jpegWithComment('<script>alert(1)</script>'), 'image/jpeg'],
    ['a GIF that is a script', Buffer.from('GIF89a/*\0\0\xf7*/=1;alert(1)\0', 'latin1'), 'image/gif'],
    [
      'a JPEG and an archive',
      Buffer.concat([jpegWithComment(''), zipArchive([{ name: 'a' }])]),
      'image/jpeg',
    ],
    [
      'a PDF and an archive',
      Buffer.concat([Buffer.from('%PDF-1.7\n'), zipArchive([{ name: 'a' }])]),
      'application/pdf',
    ],
    ['a film', ftyp('isom'), 'video/mp4'],
    ['a HEIC', ftyp('heic'), 'image/heic'],
    ['an AVIF', ftyp('avif'), 'image/avif'],
    ['a film of a brand that nobody knows', ftyp('zzzz'), 'video/mp4'],
    ['a film of a hostile brand', ftyp('\0\xff<s'), null],
    ['a document', zipArchive(officeParts(`${DOCX}.main+xml`)), DOCX],
    ['a document whose types come late', lateDocument, 'application/zip'],
    ['PNG', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), 'image/png'],
    ['ZIP', Buffer.from('504b0304140000000000', 'hex'), 'application/zip'],
    ['a HEIC by a compatible brand', brands('mif1', 'mif1', 'heic'), 'image/heic'],
    ['an AVIF by a compatible brand', brands('mif1', 'miaf', 'avif'), 'image/avif'],
    ['a moving AVIF', brands('msf1', 'msf1', 'avis'), 'image/avif'],
    ['a HEIF that says no more', brands('mif1', 'mif1'), 'image/heif'],
    ['a film that is compatible with a picture', brands('isom', 'heic'), 'video/mp4'],
    ['a picture that is compatible with a film', brands('heic', 'mif1', 'isom'), 'image/heic'],
    ['QuickTime', brands('qt  ', 'qt  '), 'video/quicktime'],
    ['QuickTime by a compatible brand', brands('niko', 'qt  '), 'video/quicktime'],
    ['a song', brands('M4A ', 'M4A ', 'mp42', 'isom'), 'audio/mp4'],
    ['a message of a telephone', brands('3gp5', '3gp5'), 'video/3gpp'],
    ['a brand that reaches out of its box', brands('mif1').fill(0xff, 0, 4), 'image/heif'],
    [
      'QuickTime that begins with a preview',
      Buffer.from('\0\0\0\x14pnot\xff\xff', 'latin1'),
      'video/quicktime',
    ],
    ['a PDF behind a line', '\r\n%PDF-1.4\n%âãÏÓ\n', 'application/pdf'],
    ['a PDF behind blanks and a mark', '\ufeff  %PDF-1.4\n', 'application/pdf'],
    ['HTML before a PDF', '<html>\n%PDF-1.4', 'text/html'],
    ['text before a PDF', 'x\n%PDF-1.4', 'text/plain'],
    ['a TGA', tga, null],
    ['an icon', icon('\x89PNG'), 'image/vnd.microsoft.icon'],
    ['an icon of a bitmap', icon('\x28\0\0\0'), 'image/vnd.microsoft.icon'],
    ['what begins like an icon', icon('junk'), null],
    ['a GIF of no version', Buffer.from('GIF90a\0\xff', 'latin1'), null],
    ['LaTeX that begins like PostScript', '%!TEX program = xelatex\n\\documentclass{article}', 'text/plain'],
    ['PostScript', '%!PS-Adobe-3.0\n', 'application/postscript'],
    ['packed data', Buffer.concat([Buffer.from('7801', 'hex'), noise(500)]), null],
    ['a picture in a container of sound', Buffer.from('FORM\0\0\x01\0ILBMBMHD\0\xff', 'latin1'), null],
    ['sound in it', Buffer.from('FORM\0\0\x01\0AIFCFVER\0\xff', 'latin1'), 'audio/aiff'],
    ['a large wave file', Buffer.from('RF64\xff\xff\xff\xffWAVEds64\0', 'latin1'), 'audio/wav'],
    ['MIDI in a container', Buffer.from('RIFF\x40\0\0\0RMIDdata\0', 'latin1'), 'audio/midi'],
    ['a sheet before compound files', Buffer.from('0904060000001000', 'hex'), 'application/vnd.ms-excel'],
    [
      'MP3 that was cut within a frame',
      Buffer.concat([noise(300), mp3Frame, mp3Frame, mp3Frame, mp3Frame]),
      'audio/mpeg',
    ],
    ['noise with two frames in it', Buffer.concat([noise(300), mp3Frame, mp3Frame, noise(900)]), null],
    ['MP3 far behind something', Buffer.concat([noise(9000), mp3Frame, mp3Frame, mp3Frame, mp3Frame]), null],
    [
      'AC-3',
      Buffer.concat([0, 1].map(() => Buffer.concat([Buffer.from('0b77000014402f84', 'hex'), noise(760)]))),
      'audio/vnd.dolby.dd-raw',
    ],
    [
      'noise that begins like AC-3',
      Buffer.concat([Buffer.from('0b77000014402f84', 'hex'), noise(3000)]),
      null,
    ],
    ['WavPack', Buffer.from('wvpk|\0\0\0\x10\x04\0\0\xff', 'latin1'), 'audio/wavpack'],
    ['ICNS', Buffer.from('icns\0\0\x01\0ic07\xff', 'latin1'), 'image/icns'],
    ['a card', 'BEGIN:VCARD\nVERSION:3.0', 'text/vcard'],
    ['ELF', Buffer.from('7f454c4602010100', 'hex'), 'application/x-elf'],
  ])('finds in %s the right type', async (_, bytes, type) => {
    const found = await detectType(Buffer.from(bytes));
    expect(found && foldMediaType(found)).toBe(type && foldMediaType(type));
  });
});
