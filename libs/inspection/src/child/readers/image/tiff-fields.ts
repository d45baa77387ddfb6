import type { ReadAt } from '../read-at.js';
import { decodeText } from './text.js';

/** More fields than any ordinary directory has. Further fields are ignored. */
const MAX_FIELDS = 512;
const MAX_TEXT_BYTES = 2048;
const ENTRY_BYTES = 12;
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

interface Field {
  readonly type: number;
  readonly count: number;
  /** Offset of the values in the file. */
  readonly offset: number;
}

const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/**
 * A directory of a TIFF, a TIFF-based raw photograph, or a block of EXIF. Reads only requested fields: libraries that read
 * every field need seconds and gigabytes for one mebibyte of fields that all share their values.
 */
export class TiffDirectory {
  readonly fields = new Map<number, Field>();

  private constructor(
    private readonly at: ReadAt,
    private readonly isLittle: boolean,
  ) {}

  /** Reads the first directory of a TIFF; an empty one for other files. */
  static async open(at: ReadAt): Promise<TiffDirectory> {
    const head = await at(0, 8);
    const order = head.toString('latin1', 0, 2);
    const isLittle = order === 'II';
    const isTiff = head.length === 8 && (isLittle || order === 'MM');
    return new TiffDirectory(at, isLittle).load(isTiff ? viewOf(head).getUint32(4, isLittle) : undefined);
  }

  /** Reads the directory that a field refers to; an empty one where there is no directory. */
  async directory(tag: number): Promise<TiffDirectory> {
    return new TiffDirectory(this.at, this.isLittle).load(await this.number(tag));
  }

  /** Reads the first `most` directories that a field refers to. */
  async *directories(tag: number, most: number): AsyncGenerator<TiffDirectory> {
    for (const offset of await this.numbers(tag, most)) {
      yield new TiffDirectory(this.at, this.isLittle).load(offset);
    }
  }

  /** Reads a text up to its first zero byte; undefined when the field is missing or not a text. */
  async text(tag: number): Promise<string | undefined> {
    const field = this.fields.get(tag);
    if (field === undefined || SIZES[field.type] !== 1) return undefined;
    const bytes = await this.at(field.offset, Math.min(field.count, MAX_TEXT_BYTES));
    const end = bytes.indexOf(0);
    return decodeText(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Reads the first `most` values of a field of integers, fractions or floating-point numbers; NaN for 0/0. */
  async numbers(tag: number, most: number): Promise<number[]> {
    const field = this.fields.get(tag);
    const size = field && SIZES[field.type];
    if (field === undefined || size === undefined) return [];
    const bytes = await this.at(field.offset, size * Math.min(field.count, most));
    const view = viewOf(bytes);
    const values: number[] = [];
    for (let offset = 0; offset + size <= bytes.length; offset += size) {
      values.push(this.valueIn(view, field.type, offset));
    }
    return values;
  }

  /** Reads the first value of a field of numbers; undefined when there is none. */
  async number(tag: number): Promise<number | undefined> {
    const [value] = await this.numbers(tag, 1);
    return value;
  }

  private async load(start: number | undefined): Promise<this> {
    if (start === undefined) return this;
    const head = await this.at(start, 2);
    if (head.length < 2) return this;
    const most = Math.min(viewOf(head).getUint16(0, this.isLittle), MAX_FIELDS);
    const entries = await this.at(start + 2, ENTRY_BYTES * most);
    const view = viewOf(entries);
    for (let entry = 0; entry + ENTRY_BYTES <= entries.length; entry += ENTRY_BYTES) {
      const tag = view.getUint16(entry, this.isLittle);
      const type = view.getUint16(entry + 2, this.isLittle);
      const count = view.getUint32(entry + 4, this.isLittle);
      const isInline = (SIZES[type] ?? 1) * count <= 4;
      const offset = isInline ? start + 2 + entry + 8 : view.getUint32(entry + 8, this.isLittle);
      if (!this.fields.has(tag)) this.fields.set(tag, { type, count, offset });
    }
    return this;
  }

  private valueIn(view: DataView, type: number, offset: number): number {
    const { isLittle } = this;
    if (type === 5) return view.getUint32(offset, isLittle) / view.getUint32(offset + 4, isLittle);
    if (type === 10) return view.getInt32(offset, isLittle) / view.getInt32(offset + 4, isLittle);
    if (type === 12) return view.getFloat64(offset, isLittle);
    if (type === 9) return view.getInt32(offset, isLittle);
    if (type === 3) return view.getUint16(offset, isLittle);
    return type === 4 || type === 13 ? view.getUint32(offset, isLittle) : view.getUint8(offset);
  }
}
