import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, jest } from '@jest/globals';
import { parseProfiles, type VariantProfile } from '#libs/domain';
import { detectType, HEAD_BYTES } from '../../../libs/inspection/src/child/detect-type.js';
import type { Finding, Limits } from '../../../libs/inspection/src/child/reader.js';
import { READERS } from '../../../libs/inspection/src/child/readers/index.js';

export const LIMITS: Limits = { maxPixels: 100_000_000, maxFrames: 10_000, ffprobe: null };
export const PROFILES = parseProfiles(['small=webp:320:80', 'large=webp:1280:80']);

export interface ReadOptions {
  readonly detected?: string;
  readonly limits?: Partial<Limits>;
  readonly profiles?: readonly VariantProfile[];
}

let folder: string;
let count = 0;

/** Creates a temporary folder for the files of a suite and deletes it after the suite. */
export function useFolder(): void {
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'readers-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
}

export const folderOf = () => folder;

export const fileOf = async (bytes: Buffer): Promise<string> => {
  const file = path.join(folder, String(count++));
  await writeFile(file, bytes);
  return file;
};

/** Merged findings of all readers for the file's type, which is detected in its first 64 KiB. */
export async function readFileWith(
  file: string,
  bytes: Buffer,
  { detected, limits, profiles }: ReadOptions = {},
): Promise<Finding> {
  const type = detected ?? (await detectType(bytes.subarray(0, HEAD_BYTES), bytes.length)) ?? '';
  const entries = READERS.filter(({ types }) => types.test(type));
  if (entries.length === 0) throw new Error(`no reader for ${type}`);
  const { size } = await stat(file);
  const request = { path: file, sizeBytes: size, detected: type, profiles: profiles ?? PROFILES };
  let found: Finding = {};
  for (const { load } of entries) {
    const { read } = await load();
    found = { ...found, ...(await read(request, { ...LIMITS, ...limits })) };
  }
  return found;
}

export async function readBytes(bytes: Buffer, options: ReadOptions = {}): Promise<Finding> {
  const file = await fileOf(bytes);
  try {
    return await readFileWith(file, bytes, options);
  } finally {
    await rm(file);
  }
}

/** Counts the checks of CPU time that `work` makes, while each check advances the CPU time by one second. */
export async function countCpuTimeChecks(work: () => Promise<unknown>): Promise<number> {
  let seconds = 0;
  const clock = jest.spyOn(process, 'cpuUsage').mockImplementation((since) => ({
    user: 1e6 * seconds++ - (since?.user ?? 0),
    system: 0,
  }));
  try {
    await work();
    return seconds;
  } finally {
    clock.mockRestore();
  }
}
