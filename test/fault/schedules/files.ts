import sharp from 'sharp';
import { MARKER } from '../../support/clamd.js';
import { EICAR } from '../../../libs/scanner/src/eicar.js';
import { sha256 } from '../uploads.js';
import type { FileKind, PlannedFile, Schedule } from './schedule.js';

/** A planned file with its bytes. */
export interface TestFile extends PlannedFile {
  readonly subject: string;
  readonly mimeType: string;
  /** What is declared. */
  readonly bytes: Buffer;
  /** What is sent. */
  readonly sent: Buffer;
  /** What it must come to: status, and code of the reason. */
  readonly end: readonly [status: string, code: string | null];
}

type Contents = Pick<TestFile, 'mimeType' | 'bytes' | 'sent' | 'end'>;

const READY = ['READY', null] as const;
const text = (bytes: Buffer | string): Contents => {
  const whole = Buffer.from(bytes);
  return { mimeType: 'text/plain', bytes: whole, sent: whole, end: READY };
};

/** Noise of a seed, so that no two are the same. */
async function picture(seed: number, index: number): Promise<Contents> {
  const [red, green, blue] = [seed & 255, (seed >> 8) & 255, index];
  const background = { r: red, g: green, b: blue };
  const bytes = await sharp({ create: { width: 96, height: 64 + (seed % 7), channels: 3, background } })
    .composite([{ input: Buffer.from([seed >> 16, index, 1]), raw: { width: 1, height: 1, channels: 3 } }])
    .png()
    .toBuffer();
  return { mimeType: 'image/png', bytes, sent: bytes, end: READY };
}

/** By a signature of bytes where there is a clamd; without one only EICAR files are known, which can differ in white space. */
function infected(name: string, index: number, hasClamd: boolean): Contents {
  const bytes = hasClamd
    ? Buffer.concat([MARKER, Buffer.from(` of ${name}`)])
    : Buffer.concat([EICAR, Buffer.alloc(index, '\n')]);
  return { ...text(bytes), end: ['REJECTED', 'MALWARE'] };
}

async function contentsOf(
  kind: Exclude<FileKind, 'twin'>,
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

const HAS_TWINS: readonly FileKind[] = ['text', 'picture', 'infected', 'planted', 'deleted'];

/** All files of a schedule, the early ones first. A twin of nothing is a text of its own. */
export async function filesOf({ seed, early, late }: Schedule, hasClamd: boolean): Promise<TestFile[]> {
  const files: TestFile[] = [];
  for (const [index, plan] of [...early, ...late].entries()) {
    const subject = String(10_000_000 + seed * 10 + plan.owner);
    const originals = files.filter((file) => HAS_TWINS.includes(file.kind));
    const original = plan.kind === 'twin' ? originals[plan.of % originals.length] : undefined;
    const kind = plan.kind === 'twin' ? 'text' : plan.kind;
    const contents = original ?? (await contentsOf(kind, seed, index, hasClamd));
    const { mimeType, bytes, sent } = contents;
    const end = contents.end[0] === 'DELETED' && kind !== 'deleted' ? READY : contents.end;
    files.push({ ...plan, subject, mimeType, bytes, sent, end });
  }
  return files;
}

/** Other bytes of the same length. */
export const otherBytes = (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 1));

export const sumOf = ({ bytes }: Pick<TestFile, 'bytes'>) => sha256(bytes);
