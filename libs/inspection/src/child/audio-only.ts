import { type ByteSource, InvalidArchiveError } from './bounded-file.js';

/*
 * Video containers with audio tracks only: phones and browsers write recordings in them, under the type of a video.
 */

/** Limit of sibling elements, in any container. More of them may hide a video track. */
const MAX_ELEMENTS = 1024;
const tooMany = () => new InvalidArchiveError(`it has more than ${MAX_ELEMENTS} sibling elements`);

interface Span {
  readonly type: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The boxes between two offsets; the last one may be cut off. ISO/IEC 14496-12, 4.2.
 * @throws InvalidArchiveError when there are too many
 */
function* boxes(file: ByteSource, start: number, end: number): Generator<Span> {
  for (let at = start, count = 0; at + 8 <= end; count++) {
    if (count === MAX_ELEMENTS) throw tooMany();
    const head = file.read(at, 8);
    const isLong = head.readUInt32BE(0) === 1;
    const header = isLong ? 16 : 8;
    const declared = isLong ? Number(file.read(at + 8, 8).readBigUInt64BE()) : head.readUInt32BE(0);
    const size = declared === 0 ? end - at : declared;
    if (size < header) return;
    yield { type: head.toString('latin1', 4, 8), start: at + header, end: Math.min(at + size, end) };
    at += size;
  }
}

function boxIn(
  file: ByteSource,
  { start, end }: Omit<Span, 'type'>,
  ...path: readonly string[]
): Span | null {
  const [type, ...rest] = path;
  for (const box of boxes(file, start, end)) {
    if (box.type === type) return rest.length === 0 ? box : boxIn(file, box, ...rest);
  }
  return null;
}

/** By the handlers of the tracks: ISO/IEC 14496-12, 8.4.3. */
function isAudioOnlyIso(file: ByteSource): boolean {
  const movie = boxIn(file, { start: 0, end: file.sizeBytes }, 'moov');
  const handlers: string[] = [];
  for (const box of movie === null ? [] : boxes(file, movie.start, movie.end)) {
    const handler = box.type === 'trak' ? boxIn(file, box, 'mdia', 'hdlr') : null;
    if (handler !== null && handler.end - handler.start >= 12) {
      handlers.push(file.read(handler.start + 8, 4).toString('latin1'));
    }
  }
  return handlers.includes('soun') && !handlers.includes('vide');
}

const SEGMENT = 0x18538067;
const CLUSTER = 0x1f43b675;
const TRACKS = 0x1654ae6b;
const TRACK_ENTRY = 0xae;
const TRACK_TYPE = 0x83;
const [VIDEO, AUDIO] = [1, 2];

interface Element {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** A variable-size integer; its first set bit gives its length. Infinity for an unknown size. RFC 8794, 4 and 5. */
function variableInteger(file: ByteSource, at: number, keepsMark: boolean): { value: number; bytes: number } {
  const first = file.read(at, 1)[0]!;
  const bytes = Math.clz32(first) - 23;
  if (bytes > 8) throw new InvalidArchiveError('an element has no length');
  let value = keepsMark ? first : first & (0xff >> bytes);
  let isUnknown = (first & (0xff >> bytes)) === 0xff >> bytes;
  for (const byte of file.read(at + 1, bytes - 1)) {
    value = value * 256 + byte;
    isUnknown &&= byte === 0xff;
  }
  return { value: isUnknown && !keepsMark ? Infinity : value, bytes };
}

/** @throws InvalidArchiveError when there are too many */
function* elements(file: ByteSource, start: number, end: number): Generator<Element> {
  for (let at = start, count = 0; at < end; count++) {
    if (count === MAX_ELEMENTS) throw tooMany();
    const id = variableInteger(file, at, true);
    const size = variableInteger(file, at + id.bytes, false);
    const content = at + id.bytes + size.bytes;
    yield { id: id.value, start: content, end: Math.min(content + size.value, end) };
    at = content + size.value;
  }
}

/** By the types of the tracks; Tracks come before the first Cluster. RFC 9559, 5.1.4. */
function isAudioOnlyMatroska(file: ByteSource): boolean {
  const types: number[] = [];
  for (const segment of elements(file, 0, file.sizeBytes)) {
    if (segment.id !== SEGMENT) continue;
    for (const part of elements(file, segment.start, segment.end)) {
      if (part.id === CLUSTER) break;
      if (part.id !== TRACKS) continue;
      for (const entry of elements(file, part.start, part.end)) {
        if (entry.id !== TRACK_ENTRY) continue;
        for (const { id, start, end } of elements(file, entry.start, entry.end)) {
          if (id === TRACK_TYPE && end > start) types.push(file.read(end - 1, 1)[0]!);
        }
      }
    }
    break;
  }
  return types.includes(AUDIO) && !types.includes(VIDEO);
}

const PACKET_BYTES = 188;
const SYNC = 0x47;
const MAX_PACKETS = 2048;
const PROGRAM_TABLE = 0;
const MAP_TABLE = 2;
/** Stream types of audio: ISO/IEC 13818-1, table 2-34; AC-3, E-AC-3 and DTS of ATSC A/53. */
const AUDIO_STREAMS = [0x03, 0x04, 0x0f, 0x11, 0x1c, 0x81, 0x82, 0x87];
/** Stream types of timed metadata, as in HLS, which are neither audio nor video. */
const METADATA_STREAMS = [0x15, 0x86];

/**
 * The table that begins in a packet, without its checksum; null without one, when it is shorter than `least` bytes, or when the
 * packet cuts it off.
 */
function tableIn(packet: Buffer, id: number, least: number): Buffer | null {
  const begins = (packet[1]! & 0x40) !== 0;
  const adaptation = (packet[3]! & 0x20) === 0 ? 0 : 1 + packet[4]!;
  const pointer = 4 + adaptation;
  if (!begins || pointer >= PACKET_BYTES) return null;
  const start = pointer + 1 + packet[pointer]!;
  if (start + 12 > PACKET_BYTES || packet[start] !== id) return null;
  const end = start + 3 + (packet.readUInt16BE(start + 1) & 0x0fff) - 4;
  return end >= start + least && end <= PACKET_BYTES - 4 ? packet.subarray(start, end) : null;
}

/** By the streams of the first program: ISO/IEC 13818-1, 2.4.4. A stream of an unknown type counts as video. */
function isAudioOnlyTransport(file: ByteSource): boolean {
  let mapId: number | null = null;
  const count = Math.min(MAX_PACKETS, Math.floor(file.sizeBytes / PACKET_BYTES));
  for (let index = 0; index < count; index++) {
    const packet = file.read(index * PACKET_BYTES, PACKET_BYTES);
    if (packet[0] !== SYNC) break;
    const id = packet.readUInt16BE(1) & 0x1fff;
    if (mapId === null && id === 0) {
      const programs = tableIn(packet, PROGRAM_TABLE, 8)?.subarray(8) ?? Buffer.alloc(0);
      for (let at = 0; at + 4 <= programs.length && mapId === null; at += 4) {
        // Program number 0 is the network table.
        if (programs.readUInt16BE(at) !== 0) mapId = programs.readUInt16BE(at + 2) & 0x1fff;
      }
    } else if (id === mapId) {
      const map = tableIn(packet, MAP_TABLE, 12);
      if (map === null) continue;
      const types: number[] = [];
      for (let at = 12 + (map.readUInt16BE(10) & 0x0fff); at + 5 <= map.length;) {
        types.push(map[at]!);
        at += 5 + (map.readUInt16BE(at + 3) & 0x0fff);
      }
      const others = types.filter((type) => !METADATA_STREAMS.includes(type));
      return others.length > 0 && others.every((type) => AUDIO_STREAMS.includes(type));
    }
  }
  return false;
}

/** By video type: the type of an audio-only file, and how to find out whether a file has audio tracks only. */
const CONTAINERS: Readonly<
  Record<string, readonly [audioType: string, isAudioOnly: (file: ByteSource) => boolean]>
> = {
  'video/mp4': ['audio/mp4', isAudioOnlyIso],
  'video/3gpp': ['audio/3gpp', isAudioOnlyIso],
  'video/3gpp2': ['audio/3gpp2', isAudioOnlyIso],
  'video/matroska': ['audio/matroska', isAudioOnlyMatroska],
  'video/x-matroska': ['audio/matroska', isAudioOnlyMatroska],
  'video/webm': ['audio/webm', isAudioOnlyMatroska],
  'video/mp2t': ['audio/mp2t', isAudioOnlyTransport],
};

/** Video types whose files may have audio only. */
export const MAY_BE_AUDIO_ONLY: readonly string[] = Object.keys(CONTAINERS);

/** The audio type of a video container that has audio only; `type` for other files, and when not all tracks are found. */
export function audioOnlyType(type: string, file: ByteSource): string {
  const container = CONTAINERS[type];
  if (container === undefined) return type;
  const [audioType, isAudioOnly] = container;
  try {
    return isAudioOnly(file) ? audioType : type;
  } catch (error) {
    if (!(error instanceof InvalidArchiveError)) throw error;
    return type;
  }
}
