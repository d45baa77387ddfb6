import { randomBytes } from 'node:crypto';
import sharp from 'sharp';
import { encryptedOfficeDocument, officeParts, zipArchive } from '#libs/inspection/testing';
import {
  encrypted,
  flatBomb,
  nestedBomb,
  overlappingBomb,
  zip64,
  zip64WithoutField,
} from '../support/hostile-files/archives.js';
import {
  boxesOfSize,
  branded,
  emptyClusters,
  emptyElements,
  longBoxOfNothing,
  nestedBoxes,
  nestedSegments,
} from '../support/hostile-files/films.js';
import {
  apng,
  dots,
  exifFlood,
  exifLoop,
  gif,
  jpegWith,
  png,
  pngBombs,
  tiffLoop,
  vastJpeg,
  webp,
} from '../support/hostile-files/pictures.js';
import type { Outcome } from './hostile-uploads.js';
import { document } from './samples.js';

type Bytes = Buffer | string;

/** A hostile file, its declared type and the outcome that the service must give it. */
export interface HostileFile {
  readonly name: string;
  /** Declared media type. */
  readonly type: string;
  readonly make: () => Bytes | Promise<Bytes>;
  /** Reason code if REJECTED, media type if READY. */
  readonly end: string;
  /** Outcome when a scanner runs and ClamAV has a signature for the file. */
  readonly scannedEnd?: string;
}

/** Returns the reason code of a REJECTED asset, the media type of a READY one, otherwise the status. */
export const endOf = ({ status, statusReason, mimeType }: Outcome): string | undefined =>
  status === 'READY' ? mimeType : status === 'REJECTED' ? statusReason?.code : status;

const file = (name: string, type: string, end: string, make: HostileFile['make']): HostileFile => ({
  name,
  type,
  end,
  make,
});

const ANY = 'application/octet-stream';
const ARCHIVE = zipArchive([{ name: 'index.html', content: '<script>alert(1)</script>' }]);
const HTML = '<!doctype html><script>alert(1)</script>';
const utf16 = (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le');
const withArchive = async (start: Bytes | Promise<Bytes>) =>
  Buffer.concat([Buffer.from(await start), ARCHIVE]);
const svg = (inside: string, attributes = '') =>
  `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${inside}</svg>`;
const entities = (root: string) =>
  `<?xml version="1.0"?><!DOCTYPE ${root} [<!ENTITY a "ha">${Array.from(
    { length: 20 },
    (_, level) =>
      `<!ENTITY ${String.fromCharCode(98 + level)} "${`&${String.fromCharCode(97 + level)};`.repeat(10)}">`,
  ).join('')}<!ENTITY file SYSTEM "file:///etc/passwd">]>`;

/** Files whose content differs from the declared type, and polyglots. */
export const DISGUISES: readonly HostileFile[] = [
  file('HTML declared as a PNG', 'image/png', 'TYPE_MISMATCH', () => HTML),
  file('HTML in UTF-16 declared as a PNG', 'image/png', 'TYPE_MISMATCH', () => utf16(HTML)),
  file('HTML in UTF-16 declared as text', 'text/plain', 'TYPE_MISMATCH', () => utf16(HTML)),
  file(
    'HTML in UTF-7 declared as text',
    'text/plain',
    'text/plain',
    () => '+/v8-+ADw-script+AD4-alert(1)+ADw-/script+AD4-',
  ),
  file(
    'HTML in UTF-7 declared as HTML',
    'text/html',
    'TYPE_MISMATCH',
    () => '+/v8-+ADw-script+AD4-alert(2)+ADw-/script+AD4-',
  ),
  file('a GIF that is an archive', 'image/gif', 'TYPE_MISMATCH', () => withArchive(dots.gif())),
  file('a GIF that is an archive, declared as octet-stream', ANY, 'TYPE_MISMATCH', () =>
    withArchive(dots.gif()),
  ),
  file('a GIF that is an archive, declared as a JAR', 'application/java-archive', 'TYPE_MISMATCH', () =>
    withArchive(dots.gif()),
  ),
  file('a PDF that is an archive', 'application/pdf', 'TYPE_MISMATCH', () => withArchive(document())),
  file('a JPEG that is an archive', 'image/jpeg', 'TYPE_MISMATCH', () => withArchive(dots.jpeg())),
  file('an Ogg that is an archive', ANY, 'TYPE_MISMATCH', () => withArchive('OggS'.padEnd(100, '\0'))),
  file('a JPEG with a script in its comment', 'image/jpeg', 'image/jpeg', () =>
    jpegWith([0xfe, Buffer.from('*/=alert(1);/*<script>alert(1)</script>')]),
  ),
  file('a JPEG with a script in its comment, declared as a script', 'text/javascript', 'TYPE_MISMATCH', () =>
    jpegWith([0xfe, Buffer.from('*/=alert(2);/*<script>alert(2)</script>')]),
  ),
  file('SVG with a script', 'image/svg+xml', 'image/svg+xml', () => svg('<script>alert(1)</script>')),
  file('SVG with an onload handler', 'image/svg+xml', 'image/svg+xml', () => svg('', 'onload="alert(1)"')),
  file('SVG with HTML in it', 'image/svg+xml', 'image/svg+xml', () =>
    svg(
      '<foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="javascript:alert(1)"/></foreignObject>',
    ),
  ),
  file('SVG with external references', 'image/svg+xml', 'image/svg+xml', () =>
    svg(
      '<style>@import url(http://127.0.0.1/a)</style><use href="http://127.0.0.1/b#c"/><image href="file:///etc/passwd"/>',
    ),
  ),
  file('SVG declared as a photo', 'image/jpeg', 'TYPE_MISMATCH', () => svg('<script>alert(3)</script>')),
  file('SVG declared as XML', 'application/xml', 'TYPE_MISMATCH', () => svg('<script>alert(4)</script>')),
  file('SVG declared as text', 'text/plain', 'TYPE_MISMATCH', () => svg('<script>alert(5)</script>')),
  file(
    'SVG with a billion laughs',
    'image/svg+xml',
    'image/svg+xml',
    () => `${entities('svg')}${svg('<text>&u;&file;</text>')}`,
  ),
  file(
    'XML with a billion laughs',
    'application/xml',
    'text/xml',
    () => `${entities('lolz')}<lolz>&u;&file;</lolz>`,
  ),
  file('noise, declared as octet-stream', ANY, ANY, () =>
    Buffer.concat([Buffer.from('9c01fe80', 'hex'), randomBytes(5000)]),
  ),
  file('noise declared as a PNG', 'image/png', 'TYPE_MISMATCH', () =>
    Buffer.concat([Buffer.from('9c01fe81', 'hex'), randomBytes(5000)]),
  ),
  file('zeros, declared as octet-stream', ANY, ANY, () => Buffer.alloc(100_000)),
  file('zeros declared as a film', 'video/mp4', 'TYPE_MISMATCH', () => Buffer.alloc(100_001)),
  file('a byte, declared as octet-stream', ANY, ANY, () => Buffer.from([0x01])),
  file('a byte declared as a PNG', 'image/png', 'TYPE_MISMATCH', () => Buffer.from([0x8a])),
  file('an empty file declared as a PNG', 'image/png', 'TYPE_MISMATCH', () => ''),
  file('a film with a brand that breaks out of HTML', 'video/mp4', 'video/mp4', () => branded('"><s')),
  file('a film with a brand of control characters, declared as a HEIC', 'image/heic', 'TYPE_MISMATCH', () =>
    branded('\0\xff\r\n'),
  ),
  file('a film declared as a HEIC', 'image/heic', 'TYPE_MISMATCH', () => branded('isom')),
  file('an AVIF that has only its brand', 'image/avif', 'UNREADABLE', () => branded('avif')),
  file('a HEIC that has only its brand', 'image/heic', 'image/heic', () => branded('heic')),
];

const KMZ = 'application/vnd.google-earth.kmz';
const OOXML = 'application/vnd.openxmlformats-officedocument';
const XLSX = `${OOXML}.spreadsheetml.sheet`;
/** A TGA picture, a format without magic bytes: 128 pixels a side, true colour, then the pixels. */
const tga = () =>
  Buffer.concat([Buffer.from('000002000000000000000000800080001800', 'hex'), randomBytes(900)]);
const kml = { name: 'doc.kml', content: '<?xml version="1.0"?><kml/>' };
/** A TIFF whose directory lies behind 270,000 bytes of pixels. */
const tiff = () =>
  sharp(randomBytes(270_000), { raw: { width: 300, height: 300, channels: 3 } })
    .tiff({ compression: 'none' })
    .toBuffer();

/** Files whose bytes show less than their usual declared type, or something else, and forgeries that look alike. */
export const CLAIMS: readonly HostileFile[] = [
  file('a TGA', 'image/x-tga', 'image/x-tga', tga),
  file('a TGA, declared as octet-stream', ANY, ANY, tga),
  file('HTML declared as a TGA', 'image/x-tga', 'TYPE_MISMATCH', () => `${HTML}<!-- 1 -->`),
  file('text declared as an unknown picture type', 'image/x-foo', 'TYPE_MISMATCH', () => 'alert(6)'),
  file(
    'XML declared as an unknown XML picture type',
    'image/x-foo+xml',
    'TYPE_MISMATCH',
    () => '<?xml version="1.0"?><a/>',
  ),
  file('a TGA that is an archive', 'image/x-tga', 'UNSCANNABLE', () => withArchive(tga())),
  file('a TIFF with its directory at the end', 'image/tiff', 'image/tiff', tiff),
  file('a TIFF that is an archive', 'image/tiff', 'TYPE_MISMATCH', async () => withArchive(await tiff())),
  file('noise declared as music', 'audio/mpeg', 'TYPE_MISMATCH', () =>
    Buffer.concat([Buffer.from('9c01fe82', 'hex'), randomBytes(70_000).fill(0, 0, 69_000)]),
  ),
  file('tags and noise declared as music', 'audio/mpeg', 'TYPE_MISMATCH', () =>
    Buffer.concat([
      Buffer.from('ID3\x03\0\0\0\0\0\0', 'latin1'),
      Buffer.alloc(90_000, '\x9c\x01\xfe', 'latin1'),
    ]),
  ),
  file(
    'TypeScript declared as a transport stream',
    'video/mp2t',
    'text/plain',
    () => 'export const one = 1;',
  ),
  file('HTML declared as a transport stream', 'video/mp2t', 'TYPE_MISMATCH', () => `${HTML}<!-- 2 -->`),
  file('a CSV file declared as an Excel sheet', 'application/vnd.ms-excel', 'text/csv', () => 'a;b\n1;2\n'),
  file(
    'HTML declared as an Excel sheet',
    'application/vnd.ms-excel',
    'TYPE_MISMATCH',
    () => `${HTML}<!-- 3 -->`,
  ),
  file('a program declared as a CSV file', 'text/csv', 'TYPE_MISMATCH', () =>
    Buffer.concat([Buffer.from('MZ\x90\0', 'latin1'), Buffer.alloc(200)]),
  ),
  file('a program declared as a script', 'application/x-sh', 'TYPE_MISMATCH', () =>
    Buffer.concat([Buffer.from('7f454c4602010100', 'hex'), Buffer.alloc(200, 1)]),
  ),
  file('a film with a compatible HEIC brand, declared as a HEIC', 'image/heic', 'TYPE_MISMATCH', () =>
    Buffer.from('\0\0\0\x18ftypisom\0\0\0\0mif1heic\0\0\0\x08mdat\xff', 'latin1'),
  ),
  file('a KMZ', KMZ, KMZ, () => zipArchive([kml])),
  file('a KMZ with a password', KMZ, 'UNSCANNABLE', () => zipArchive([{ ...kml, lies: { flags: 1 } }])),
  file('a JAR declared as a KMZ', KMZ, 'TYPE_MISMATCH', () =>
    zipArchive([kml, { name: 'META-INF/MANIFEST.MF' }]),
  ),
  file('a JAR declared as an archive', 'application/zip', 'TYPE_MISMATCH', () =>
    zipArchive([{ name: 'META-INF/MANIFEST.MF' }, { name: 'a.class' }]),
  ),
  file('a DOCX declared as an archive', 'application/zip', `${OOXML}.wordprocessingml.document`, () =>
    zipArchive(officeParts(`${OOXML}.wordprocessingml.document.main+xml`)),
  ),
  file('a document with macros declared as a DOC', 'application/msword', 'TYPE_MISMATCH', () =>
    zipArchive(officeParts('application/vnd.ms-word.document.macroEnabled.main+xml')),
  ),
  file('a sheet with a password', XLSX, 'UNSCANNABLE', () => encryptedOfficeDocument()),
  file('a sheet with a password, declared as octet-stream', ANY, 'UNSCANNABLE', () =>
    encryptedOfficeDocument(150_000),
  ),
  file('a PDF behind an empty line that is an archive', 'application/pdf', 'TYPE_MISMATCH', () =>
    withArchive(Buffer.concat([Buffer.from('\n'), document()])),
  ),
  file('a PDF behind HTML', 'application/pdf', 'TYPE_MISMATCH', () => `${HTML}\n%PDF-1.7\n`),
];

const FRAMES = 100_000;

/** Files made to exhaust the memory or the processor time of their readers. */
export const BOMBS: readonly HostileFile[] = [
  file('a JPEG of 5 KB and 64250² pixels', 'image/jpeg', 'TOO_MANY_PIXELS', () => vastJpeg(64_250, 5000)),
  file('a PNG of 2³¹-1 pixels a side', 'image/png', 'TOO_MANY_PIXELS', () => png({ side: 2 ** 31 - 1 })),
  file('a GIF of 100,000 pictures', 'image/gif', 'TOO_MANY_PIXELS', () => gif(FRAMES)),
  file('an APNG of 100,000 pictures', 'image/png', 'TOO_MANY_PIXELS', () => apng(FRAMES)),
  file('an APNG of 100,000 pictures that declares one', 'image/png', 'image/png', () => apng(FRAMES, 1)),
  file('a WebP of 100,000 pictures', 'image/webp', 'TOO_MANY_PIXELS', () => webp(FRAMES)),
  file('a PNG with text of a GiB', 'image/png', 'image/png', () => pngBombs.zTXt(1024)),
  file('a PNG with XMP of a GiB', 'image/png', 'image/png', () => pngBombs.iTXt(1024)),
  file('a PNG with a colour profile of a GiB', 'image/png', 'image/png', () => pngBombs.iCCP(1024)),
  file('a TIFF with a directory loop', 'image/tiff', 'image/tiff', tiffLoop),
  file('EXIF with a directory loop', 'image/jpeg', 'image/jpeg', exifLoop),
  file('a hundred EXIF blocks of 64 KB', 'image/jpeg', 'image/jpeg', () => exifFlood(100)),
  file('Matroska of empty elements', 'video/x-matroska', 'video/matroska', () => emptyElements(2 ** 20)),
  file('Matroska of empty clusters', 'video/x-matroska', 'video/matroska', () => emptyClusters(2 ** 20)),
  file('Matroska in Matroska', 'video/x-matroska', 'video/matroska', () => nestedSegments(2 ** 20)),
  file('boxes in boxes', 'video/mp4', 'video/mp4', () => nestedBoxes(100_000)),
  file('boxes of no size', 'video/mp4', 'video/mp4', () => boxesOfSize(0, 100_000)),
  file('boxes smaller than themselves', 'video/mp4', 'video/mp4', () => boxesOfSize(7, 100_000)),
  file('a large empty box', 'video/mp4', 'video/mp4', longBoxOfNothing),
  {
    ...file('an archive with overlapping entries', 'application/zip', 'UNSCANNABLE', () =>
      overlappingBomb(200, 10),
    ),
    // Heuristics.Zip.OverlappingFiles
    scannedEnd: 'MALWARE',
  },
  file('an archive that unpacks to 2 GiB', 'application/zip', 'UNSCANNABLE', () => flatBomb(2047)),
  file('an archive without its ZIP64 sizes', 'application/zip', 'UNSCANNABLE', () =>
    zip64WithoutField(Buffer.from('a')),
  ),
  file('a small archive with ZIP64 sizes', 'application/zip', 'UNSCANNABLE', () => zip64(Buffer.from('a'))),
  file('an archive with a password', 'application/zip', 'UNSCANNABLE', () =>
    encrypted(Buffer.from('secret'), 'password'),
  ),
  file('42.zip', 'application/zip', 'UNSCANNABLE', () => nestedBomb(5, 256)),
];
