import type { ReadAt } from '../read-at.js';

/** More fields than any ordinary directory has. Further fields are ignored. */
const MAX_FIELDS = 512;
const MAX_TEXT_BYTES = 2048;
/** Bytes of one value, by type. TIFF 6.0, section 2; 13 is the offset of a directory, 129 the UTF-8 text of EXIF 3. */
const SIZES: Record<number, number> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  7: 1,
  9: 4,
  10: 8,
  12: 8,
  13: 4,
  129: 1,
};

export interface Field {
  readonly type: number;
  readonly count: number;
  /** Offset of the values in the file. */
  readonly offset: number;
}

export type Fields = ReadonlyMap<number, Field>;

const decode = (bytes: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return bytes.toString('latin1');
  }
};

/**
 * Reads a TIFF, a TIFF-based raw photograph, or a block of EXIF. Reads only requested fields: libraries that read every
 * field need seconds and gigabytes for one mebibyte of fields that all share their values.
 */
export class TiffReader {
  private constructor(
    private readonly at: ReadAt,
    private readonly isLittle: boolean,
    /** Offset of the first directory. */
    readonly start: number,
  ) {}

  /** Opens a TIFF; null when the header is not one. */
  static async open(at: ReadAt): Promise<TiffReader | null> {
    const head = await at(0, 8);
    const order = head.toString('latin1', 0, 2);
    if (head.length < 8 || (order !== 'II' && order !== 'MM')) return null;
    const isLittle = order === 'II';
    return new TiffReader(at, isLittle, isLittle ? head.readUInt32LE(4) : head.readUInt32BE(4));
  }

  /** Reads the fields of a directory; none where there is no directory. */
  async fields(offset: number | undefined): Promise<Fields> {
    const fields = new Map<number, Field>();
    if (offset === undefined) return fields;
    const head = await this.at(offset, 2);
    if (head.length < 2) return fields;
    const entries = await this.at(offset + 2, 12 * Math.min(this.short(head, 0), MAX_FIELDS));
    for (let entry = 0; entry + 12 <= entries.length; entry += 12) {
      const type = this.short(entries, entry + 2);
      const count = this.long(entries, entry + 4);
      const isInline = (SIZES[type] ?? 1) * count <= 4;
      const value = isInline ? offset + 2 + entry + 8 : this.long(entries, entry + 8);
      const tag = this.short(entries, entry);
      if (!fields.has(tag)) fields.set(tag, { type, count, offset: value });
    }
    return fields;
  }

  /** Reads a text up to its first zero byte; undefined when the field is missing or not a text. */
  async text(field: Field | undefined): Promise<string | undefined> {
    if (field === undefined || SIZES[field.type] !== 1) return undefined;
    const bytes = await this.at(field.offset, Math.min(field.count, MAX_TEXT_BYTES));
    const end = bytes.indexOf(0);
    return decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Reads the first `most` values of a field of integers, fractions or floating-point numbers; NaN for 0/0. */
  async numbers(field: Field | undefined, most: number): Promise<number[]> {
    const size = field && SIZES[field.type];
    if (field === undefined || size === undefined) return [];
    const bytes = await this.at(field.offset, size * Math.min(field.count, most));
    const values: number[] = [];
    for (let offset = 0; offset + size <= bytes.length; offset += size) {
      values.push(this.number(bytes, field.type, offset));
    }
    return values;
  }

  private number(bytes: Buffer, type: number, offset: number): number {
    if (type === 5) return this.long(bytes, offset) / this.long(bytes, offset + 4);
    if (type === 10) return this.signed(bytes, offset) / this.signed(bytes, offset + 4);
    if (type === 12) return this.isLittle ? bytes.readDoubleLE(offset) : bytes.readDoubleBE(offset);
    if (type === 9) return this.signed(bytes, offset);
    if (type === 3) return this.short(bytes, offset);
    return type === 4 || type === 13 ? this.long(bytes, offset) : bytes.readUInt8(offset);
  }

  private signed(bytes: Buffer, offset: number): number {
    return this.isLittle ? bytes.readInt32LE(offset) : bytes.readInt32BE(offset);
  }

  private short(bytes: Buffer, offset: number): number {
    return this.isLittle ? bytes.readUInt16LE(offset) : bytes.readUInt16BE(offset);
  }

  private long(bytes: Buffer, offset: number): number {
    return this.isLittle ? bytes.readUInt32LE(offset) : bytes.readUInt32BE(offset);
  }
}
