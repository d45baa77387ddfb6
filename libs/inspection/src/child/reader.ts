import type { AssetProperties, VariantProfile } from '#libs/domain';
import type { Inspection } from '../inspector.js';

/** Beyond these a file is refused, or left alone. */
export interface Limits {
  /** Of one frame; all together may have twenty times as many. */
  readonly maxPixels: number;
  readonly maxFrames: number;
  /** The program, where there is one. */
  readonly ffprobe: string | null;
  /** The most of a file in an archive that a scanner looks into. */
  readonly scannableBytes?: number;
}

export interface FileToRead {
  readonly path: string;
  readonly sizeBytes: number;
  /** As found in the head of the file. */
  readonly detected: string;
  readonly profiles: readonly VariantProfile[];
  readonly longestSide?: number;
}

/** What one reader has found; what it leaves out, it has nothing to say of. */
export type Finding = Partial<Omit<Inspection, 'properties'>> & {
  readonly properties?: Partial<AssetProperties>;
};

/**
 * Looks into a file of its types. What it cannot read it leaves out; it throws for what is no fault of the file (there is no such
 * file, memory is at its end), and the look has failed. Another error is a fault of its own.
 */
export type Reader = (file: FileToRead, limits: Limits) => Promise<Finding>;

export interface ReaderEntry {
  /** Of the detected types. */
  readonly types: RegExp;
  /** Whether a file may be stored hangs on what it finds: an error of whatever kind fails the look, where others' mean nothing found. */
  readonly isGuard?: boolean;
  /** Loaded when a file of its types comes first. */
  readonly load: () => Promise<{ readonly read: Reader }>;
}
