import sharp from 'sharp';
import { MARKER } from '../../support/clamd.js';
import { EICAR } from '../../../libs/scanner/src/eicar.js';
import { sha256 } from '../uploads.js';
import type { FileKind, PlannedFile, Schedule } from './schedule.js';

/** A planned file with its bytes. */
export interface TestFile extends PlannedFile {
  readonly subject: string;
  readonly mimeType: string;
  /** Declared bytes. */
  readonly bytes: Buffer;
  /** Bytes that the client sends. */
  readonly sent: Buffer;
  /** Expected outcome: status and reason code. */
  readonly end: readonly [status: string, code: string | null];
}

type Contents = Pick<TestFile, 'mimeType' | 'bytes' | 'sent' | 'end'>;

const READY = ['READY', null] as const;
const text = (bytes: Buffer | string): Contents => {
  const whole = Buffer.from(bytes);
  return { mimeType: 'text/plain', bytes: whole, sent: whole, end: READY };
};

/** A picture whose pixels depend on the seed, so that no two pictures are equal. */
async function picture(seed: number, index: number): Promise<Contents> {
  const [red, green, blue] = [seed & 255, (seed >> 8) & 255, index];
  const background = { r: red, g: green, b: blue };
  const bytes = await sharp({ create: { width: 96, height: 64 + (seed % 7), channels: 3, background } })
    .composite([{ input: Buffer.from([seed >> 16, index, 1]), raw: { width: 1, height: 1, channels: 3 } }])
    .png()
    .toBuffer();
  return { mimeType: 'image/png', bytes, sent: bytes, end: READY };
}

/** With clamd, bytes with its test signature. Without clamd only EICAR is detected, and copies differ in white space. */
function infected(name: string, index: number, hasClamd: boolean): Contents {
  const bytes = hasClamd
    ? Buffer.concat([MARKER, Buffer.from(` of ${name}`)])
    : Buffer.concat([EICAR, Buffer.alloc(index, '\n')]);
  return { ...text(bytes), end: ['REJECTED', 'MALWARE'] };
}

async function contentsOf(
  kind: Exclude<FileKind, 'duplicate'>,
  seed: number,
  index: number,
  hasClamd: boolean,
): Promise<Contents> {
  const name = `file ${index} of schedule ${seed}`;
  const plain = text(`this is ${name}`);
  switch (kind) {
    case 'text':
    case 'planted':
      return plain;
    case 'picture':
      return picture(seed, index);
    case 'infected':
      return infected(name, index, hasClamd);
    case 'wrong-hash':
      return { ...plain, sent: Buffer.from(`that is ${name}`), end: ['REJECTED', 'CHECKSUM_MISMATCH'] };
    case 'wrong-type':
      return {
        ...text(`<!doctype html><title>${name}`),
        mimeType: 'image/png',
        end: ['REJECTED', 'TYPE_MISMATCH'],
      };
    case 'unsent':
      return { ...plain, end: ['EXPIRED', null] };
    case 'deleted':
      return { ...plain, end: ['DELETED', null] };
  }
}

const HAS_DUPLICATES: readonly FileKind[] = ['text', 'picture', 'infected', 'planted', 'deleted'];

/** All files of a schedule, the early ones first. A duplicate without an original is a text of its own. */
export async function filesOf({ seed, early, late }: Schedule, hasClamd: boolean): Promise<TestFile[]> {
  const files: TestFile[] = [];
  for (const [index, plan] of [...early, ...late].entries()) {
    const subject = String(10_000_000 + seed * 10 + plan.owner);
    const originals = files.filter((file) => HAS_DUPLICATES.includes(file.kind));
    const original = plan.kind === 'duplicate' ? originals[plan.of % originals.length] : undefined;
    const kind = plan.kind === 'duplicate' ? 'text' : plan.kind;
    const contents = original ?? (await contentsOf(kind, seed, index, hasClamd));
    const { mimeType, bytes, sent } = contents;
    const end = contents.end[0] === 'DELETED' && kind !== 'deleted' ? READY : contents.end;
    files.push({ ...plan, subject, mimeType, bytes, sent, end });
  }
  return files;
}

/** Returns other bytes of the same length. */
export const otherBytes = (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 1));

export const sumOf = ({ bytes }: Pick<TestFile, 'bytes'>) => sha256(bytes);
