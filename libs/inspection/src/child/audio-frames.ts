/** Parses the frame header at an offset; null without one. All frames of a stream have one `kind`. */
export type FrameAt = (bytes: Buffer, at: number) => { readonly bytes: number; readonly kind: number } | null;

/** Bit rates in kbit/s of Layers II and III in version 2. */
const LOW_BITRATES = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/** Bit rates in kbit/s by version, layer and index: ISO 11172-3, 2.4.2.3; ISO 13818-3, 2.4.2.3. */
const BITRATES = {
  V1: {
    L1: [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    L2: [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    L3: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  },
  V2: {
    L1: [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    L2: LOW_BITRATES,
    L3: LOW_BITRATES,
  },
};
const LAYERS = [null, 'L3', 'L2', 'L1'] as const;
/** Sample rates of MPEG-1 in Hz, by index. */
const RATES = [44_100, 48_000, 32_000];
/** Divisors of the sample rate by version bits: MPEG-2.5, reserved, MPEG-2, MPEG-1. */
const RATE_DIVISORS = [4, null, 2, 1] as const;

/** A frame of MPEG audio, Layer I to III. */
export const mpegFrame: FrameAt = (bytes, at) => {
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
export const adtsFrame: FrameAt = (bytes, at) => {
  if (at + 6 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) return null;
  const length = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5);
  return length < 7 ? null : { bytes: length, kind: (bytes[at + 1]! << 8) | (bytes[at + 2]! & 0xfc) };
};

/** Whether two frames of one kind follow each other, at any offset. A head that is too short for two may have one. */
export function hasFrames(head: Buffer, frameAt: FrameAt): boolean {
  for (let at = 0; at >= 0; at = head.indexOf(0xff, at + 1)) {
    const frame = frameAt(head, at);
    if (frame === null) continue;
    const next = at + frame.bytes;
    if (at === 0 && next + 6 > head.length) return true;
    if (frameAt(head, next)?.kind === frame.kind) return true;
  }
  return false;
}

/** Bit rates of AC-3 in kbit/s, by half of the frame size code: ATSC A/52, table 5.18. */
const AC3_KILOBITS = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
const AC3_RATES = [48_000, 44_100, 32_000];
const AC3_SAMPLES = 1536;
/** Higher bit stream ids have the header of E-AC-3: annex E. */
const AC3_MAX_ID = 10;
const EAC3_MAX_ID = 16;

/** A frame of AC-3 or E-AC-3: ATSC A/52, 5.4.1 and E.2.3.1. */
export const ac3Frame: FrameAt = (bytes, at) => {
  if (at + 6 > bytes.length || bytes[at] !== 0x0b || bytes[at + 1] !== 0x77) return null;
  const id = bytes[at + 5]! >> 3;
  if (id > EAC3_MAX_ID) return null;
  if (id > AC3_MAX_ID) {
    return { bytes: 2 * ((((bytes[at + 2]! & 7) << 8) | bytes[at + 3]!) + 1), kind: id };
  }
  const rate = AC3_RATES[bytes[at + 4]! >> 6];
  const code = bytes[at + 4]! & 0x3f;
  const kilobits = AC3_KILOBITS[code >> 1];
  if (rate === undefined || kilobits === undefined) return null;
  const perFrame = Math.floor((kilobits * 1000 * AC3_SAMPLES) / rate / 16);
  return { bytes: 2 * (perFrame + (rate === 44_100 ? code & 1 : 0)), kind: id };
};

/** Consecutive frames that prove a stream without any other evidence; fewer occur by chance. */
const FRAMES = 4;

/**
 * Whether the head is that of a stream which was cut within a frame.
 * @param firstBytes length of the longest possible frame, in bytes
 */
export function isCutStream(head: Buffer, frameAt: FrameAt, firstBytes: number): boolean {
  for (let start = 0; start < Math.min(firstBytes, head.length); start++) {
    const first = frameAt(head, start);
    if (first === null) continue;
    let at = start;
    for (let count = 1; count < FRAMES && at >= 0; count++) {
      at += frameAt(head, at)!.bytes;
      if (frameAt(head, at)?.kind !== first.kind) at = -1;
    }
    if (at >= 0) return true;
  }
  return false;
}
