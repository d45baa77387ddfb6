import { crc32, constants, deflateRawSync } from 'node:zlib';

const MIB = 2 ** 20;
const ONE = Buffer.alloc(MIB);
/** A mebibyte of zeros, deflated with a full flush so that more blocks can follow. */
const block = deflateRawSync(ONE, { level: 9, finishFlush: constants.Z_FULL_FLUSH });
const END = deflateRawSync(Buffer.alloc(0));

/** This many mebibytes of zeros, deflated to a thousandth without compressing them each time. RFC 1951 */
export const deflatedZeros = (mebibytes: number): Buffer =>
  Buffer.concat([...Array.from({ length: mebibytes }, () => block), END]);

/** Zeros as a zlib stream, whose Adler-32 follows from their number. RFC 1950 */
export function zlibZeros(mebibytes: number): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt16BE((mebibytes * MIB) % 65_521, 0);
  sum.writeUInt16BE(1, 2);
  return Buffer.concat([Buffer.from('78da', 'hex'), deflatedZeros(mebibytes), sum]);
}

/** CRC-32 of `before` followed by this many mebibytes of zeros. */
export function crcOfZeros(mebibytes: number, before: Buffer = Buffer.alloc(0)): number {
  let sum = crc32(before);
  for (let done = 0; done < mebibytes; done++) sum = crc32(ONE, sum);
  return sum;
}
