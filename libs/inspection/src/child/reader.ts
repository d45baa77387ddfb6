import type { AssetProperties, VariantProfile } from '#libs/domain';
import type { Inspection } from '../inspector.js';

/** Limits of one inspection. A file beyond them is refused, or not read. */
export interface Limits {
  /** Pixels of one frame; all frames together may have twenty times as many. */
  readonly maxPixels: number;
  readonly maxFrames: number;
  /** Path of the ffprobe program; null to do without it. */
  readonly ffprobe: string | null;
  /** Size of the largest file in an archive that the malware scanner reads, in bytes. */
  readonly scannableBytes?: number;
}

export interface FileToRead {
  readonly path: string;
  readonly sizeBytes: number;
  /** The detected media type; `application/octet-stream` when none was detected. */
  readonly detected: string;
  readonly profiles: readonly VariantProfile[];
  readonly longestSide?: number;
}

/** The results of one reader. An omitted field leaves the results of other readers as they are. */
export type Finding = Partial<Omit<Inspection, 'properties'>> & {
  readonly properties?: Partial<AssetProperties>;
};

/**
 * Reads one file. Properties that it cannot read are omitted from the result.
 * @throws for failures that are not the file's fault (a missing file, exhausted memory), which fail the inspection; any
 *   other error is a bug in the reader
 */
export type Reader = (file: FileToRead, limits: Limits) => Promise<Finding>;

export interface ReaderEntry {
  /** Detected media types of the files that this reader reads. */
  readonly types: RegExp;
  /** The reader decides whether a file may be stored: any of its errors fails the inspection, not only system errors. */
  readonly isGuard?: boolean;
  /** Imports the reader, which delays loading its libraries until the first file of these types. */
  readonly load: () => Promise<{ readonly read: Reader }>;
}
