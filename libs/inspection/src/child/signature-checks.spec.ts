import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { isSignatureConfirmed } from './signature-checks.js';
import { detectType } from './detect-type.js';

const noise = (bytes: number) => Buffer.from(randomBytes(bytes).map((byte) => (byte === 0xff ? 0 : byte)));

/** Frames of MPEG-1 Layer III, 128 kbit/s, 44.1 kHz: 417 bytes, and one more where padded. */
const mp3Frame = (padded = false) =>
  Buffer.concat([Buffer.from([0xff, 0xfb, padded ? 0x92 : 0x90, 0]), noise(413 + Number(padded))]);
/** MPEG-2 Layer III, 64 kbit/s, 22.05 kHz. */
const halfRateFrame = () => Buffer.concat([Buffer.from([0xff, 0xf3, 0x80, 0]), noise(204)]);
/** MPEG-1 Layer II, 192 kbit/s, 48 kHz, and Layer I, 384 kbit/s, 48 kHz. */
const layer2Frame = () => Buffer.concat([Buffer.from([0xff, 0xfd, 0xa4, 0]), noise(572)]);
const layer1Frame = () => Buffer.concat([Buffer.from([0xff, 0xff, 0xc4, 0]), noise(380)]);
const adtsFrame = (bytes: number) =>
  Buffer.concat([
    Buffer.from([
      0xff,
      0xf1,
      0x50,
      0x80 | (bytes >> 11),
      (bytes >> 3) & 0xff,
      ((bytes & 7) << 5) | 0x1f,
      0xfc,
    ]),
    noise(bytes - 7),
  ]);

function bitmap(headerBytes: number): Buffer {
  const bytes = Buffer.concat([Buffer.from('BM'), noise(100)]);
  bytes.writeUInt32LE(headerBytes, 14);
  return bytes;
}

function packets(count: number, step: number): Buffer {
  const bytes = noise(count * step);
  for (let at = step - 188; at < bytes.length; at += step) bytes[at] = 0x47;
  return bytes;
}

const twice = (make: () => Buffer) => Buffer.concat([make(), make()]);

describe('isSignatureConfirmed', () => {
  it.each<[string, string, Buffer, boolean]>([
    ['consecutive frames', 'audio/mpeg', Buffer.concat([mp3Frame(), mp3Frame(true), mp3Frame()]), true],
    ['frames of half the sample rate', 'audio/mpeg', twice(halfRateFrame), true],
    ['frames of Layer II', 'audio/mpeg', twice(layer2Frame), true],
    ['frames of Layer I', 'audio/mpeg', twice(layer1Frame), true],
    [
      'frames after a damaged start',
      'audio/mpeg',
      Buffer.concat([mp3Frame().subarray(0, 300), twice(mp3Frame)]),
      true,
    ],
    ['a single frame', 'audio/mpeg', mp3Frame(), true],
    ['an ID3 tag', 'audio/mpeg', Buffer.from('ID3\x04\0\0\0\0\0\0'), true],
    ['one frame and noise', 'audio/mpeg', Buffer.concat([mp3Frame(), noise(2000)]), false],
    [
      'frames of two kinds',
      'audio/mpeg',
      Buffer.concat([mp3Frame(), twice(adtsFrame.bind(null, 300))]),
      false,
    ],
    ['AAC', 'audio/aac', Buffer.concat([adtsFrame(371), adtsFrame(405), adtsFrame(380)]), true],
    ['one AAC frame and noise', 'audio/aac', Buffer.concat([adtsFrame(371), noise(2000)]), false],
    [
      'AAC frames of length 0',
      'audio/aac',
      Buffer.concat([Buffer.from('fff15080001ffc', 'hex'), noise(50)]),
      false,
    ],
    ['a bitmap', 'image/bmp', bitmap(40), true],
    ['an OS/2 bitmap', 'image/bmp', bitmap(12), true],
    ['a bitmap with an invalid header size', 'image/bmp', bitmap(1_642_922_331), false],
    ['a file shorter than a bitmap header', 'image/bmp', Buffer.from('BM and so on'), false],
    ['a transport stream', 'video/mp2t', packets(10, 188), true],
    ['a transport stream with timestamps', 'video/mp2t', packets(10, 192), true],
    ['two packets and noise', 'video/mp2t', Buffer.concat([packets(2, 188), noise(2000)]), false],
    ['a type without a check', 'image/png', noise(10), true],
  ])('checks %s', (_, type, head, expected) => {
    expect(isSignatureConfirmed(type, head, false)).toBe(expected);
  });
});

it.each([
  ['BM', null],
  ['\xff\xfb\x90\0', null],
])('detects no type in noise after the signature %j', async (start, type) => {
  expect(await detectType(Buffer.concat([Buffer.from(start, 'latin1'), noise(65_000)]))).toBe(type);
});
