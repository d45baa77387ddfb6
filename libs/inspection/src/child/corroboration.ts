/** What the header of a frame says, or null where there is none. */
type FrameAt = (bytes: Buffer, at: number) => { readonly bytes: number; readonly kind: number } | null;

/** Kilobits a second by version, layer and index, and samples a second by version and index: ISO 11172-3, 2.4.2.3; ISO 13818-3, 2.4.2.3. */
const BITRATES = {
  V1: {
    L1: [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    L2: [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    L3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  },
  V2: {
    L1: [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    L2: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    L3: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
  },
};
const LAYERS = [null, 'L3', 'L2', 'L1'] as const;
const RATES = [44_100, 48_000, 32_000];
/** Versions 2.5, none, 2 and 1 have the quarter, none, the half and the whole of the rates. */
const RATE_DIVISORS = [4, null, 2, 1] as const;

/** A frame of MPEG audio. */
const mpegFrame: FrameAt = (bytes, at) => {
  if (at + 4 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xe0) !== 0xe0) return null;
  const version = (bytes[at + 1]! >> 3) & 3;
  const layer = LAYERS[(bytes[at + 1]! >> 1) & 3]!;
  const divisor = RATE_DIVISORS[version]!;
  const rate = RATES[(bytes[at + 2]! >> 2) & 3];
  if (divisor === null || layer === null || rate === undefined) return null;
  const bitrate = BITRATES[divisor === 1 ? 'V1' : 'V2'][layer][bytes[at + 2]! >> 4];
  if (bitrate === undefined || bitrate === 0) return null;
  const padding = (bytes[at + 2]! >> 1) & 1;
  const kind = bytes[at + 1]! & 0xfe;
  const samplesOfEight = layer === 'L3' && divisor !== 1 ? 72 : 144;
  const perSample = (bitrate * 1000 * divisor) / rate;
  const length =
    layer === 'L1'
      ? (Math.floor(12 * perSample) + padding) * 4
      : Math.floor(samplesOfEight * perSample) + padding;
  return { bytes: length, kind: (kind << 8) | (bytes[at + 2]! & 0x0c) };
};

/** A frame of AAC in ADTS: ISO 13818-7, 6.2. */
const adtsFrame: FrameAt = (bytes, at) => {
  if (at + 6 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) return null;
  const length = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5);
  return length < 7 ? null : { bytes: length, kind: (bytes[at + 1]! << 8) | (bytes[at + 2]! & 0xfc) };
};

/** Whether two frames of one kind follow each other, wherever that begins; or there is room for only one. */
function hasFrames(head: Buffer, frameAt: FrameAt): boolean {
  for (let at = 0; at >= 0; at = head.indexOf(0xff, at + 1)) {
    const frame = frameAt(head, at);
    if (frame === null) continue;
    const next = at + frame.bytes;
    if (at === 0 && next + 6 > head.length) return true;
    if (frameAt(head, next)?.kind === frame.kind) return true;
  }
  return false;
}

const PACKET = 188;

/** Whether each packet of an MPEG transport stream begins as it has to: ISO 13818-1, 2.4.3.2; some have four bytes before each. */
const hasPackets = (head: Buffer): boolean =>
  [PACKET, PACKET + 4].some((step) => {
    for (let at = step - PACKET, packets = 0; packets < 5 && at < head.length; at += step, packets++) {
      if (head[at] !== 0x47) return false;
    }
    return true;
  });

/** The sizes that a bitmap's second header has had over the years, which it begins with. */
const BITMAP_HEADERS = [12, 16, 40, 52, 56, 64, 108, 124];

const hasBitmapHeader = (head: Buffer): boolean =>
  head.length >= 18 && BITMAP_HEADERS.includes(head.readUInt32LE(14));

/**
 * Types whose signature is two bytes or less. One in some thousands of encrypted or compressed files begins like that by chance: it
 * must not be taken for a picture that does not decode.
 */
const CORROBORATED: Readonly<Record<string, (head: Buffer) => boolean>> = {
  'image/bmp': hasBitmapHeader,
  'audio/aac': (head) => hasFrames(head, adtsFrame),
  'audio/mpeg': (head) => head[0] !== 0xff || hasFrames(head, mpegFrame),
  'video/mp2t': hasPackets,
};

/** Whether the bytes after a signature are as that type has them, where the signature alone says little. */
export const isCorroborated = (type: string, head: Buffer): boolean => CORROBORATED[type]?.(head) ?? true;
