import { instantOf } from '../instants.js';
import type { Tags } from '../tags.js';
import { decodeText } from './text.js';

const MARK = 0x1c;
const APPLICATION_RECORD = 2;
const [TITLE, DATE, TIME] = [5, 55, 60];
const MAX_FIELDS = 512;

/** Reads the tags that news agencies use: IPTC IIM 4.2, 1.5 and 6. */
export function readIptc(bytes: Buffer): Tags {
  const values = new Map<number, Buffer>();
  for (let at = 0, count = 0; at + 5 <= bytes.length && bytes[at] === MARK && count < MAX_FIELDS; count++) {
    const length = bytes.readUInt16BE(at + 3);
    // An extended length, which only embedded pictures need.
    if (length > 0x7fff) break;
    const value = bytes.subarray(at + 5, at + 5 + length);
    if (bytes[at + 1] === APPLICATION_RECORD && !values.has(bytes[at + 2]!))
      values.set(bytes[at + 2]!, value);
    at += 5 + length;
  }
  const text = (field: number) => {
    const value = values.get(field);
    return value && decodeText(value);
  };
  const [, year, month, day] = /^(\d{4})(\d\d)(\d\d)$/.exec(text(DATE) ?? '') ?? [];
  const [, hour, minute, second, zone = ''] = /^(\d\d)(\d\d)(\d\d)([+-]\d{4})?$/.exec(text(TIME) ?? '') ?? [];
  const isTimed = year !== undefined && hour !== undefined;
  return {
    created: isTimed ? instantOf(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`) : null,
    title: text(TITLE),
  };
}

const RESOURCE = '8BIM';
const MAX_RESOURCES = 256;

/** Splits the image resources of a PSD or JPEG file by id. Photoshop File Formats, "Image Resources". */
export function photoshopResources(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const resources = new Map<number, Buffer>();
  for (let at = 0, count = 0; at + 12 <= bytes.length && count < MAX_RESOURCES; count++) {
    if (bytes.toString('latin1', at, at + 4) !== RESOURCE) break;
    const id = bytes.readUInt16BE(at + 4);
    // A name, prefixed with its length and padded to an even size.
    const size = at + 6 + 2 * Math.floor((bytes[at + 6]! + 2) / 2);
    if (size + 4 > bytes.length) break;
    const length = bytes.readUInt32BE(size);
    if (!resources.has(id)) resources.set(id, bytes.subarray(size + 4, size + 4 + length));
    at = size + 4 + length + (length % 2);
  }
  return resources;
}
