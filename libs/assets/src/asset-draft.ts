import {
  invalid,
  MAX_METADATA,
  type MetadataChange,
  type MetadataEntry,
  parseFilename,
  parseMetadataChange,
} from '#libs/domain';
import type { Asset } from './asset.js';

/** A change of an asset as the client sent it. Omitted fields stay as they are. */
export interface AssetUpdate {
  readonly id: string;
  readonly filename?: string | null;
  readonly setMetadata?: readonly MetadataEntry[] | null;
  readonly removeMetadata?: readonly string[] | null;
}

/** A validated {@link AssetUpdate}. */
export interface ParsedAssetUpdate extends MetadataChange {
  readonly id: string;
  readonly filename: string | null;
}

/** @throws StowageError invalid FILENAME_INVALID, METADATA_INVALID */
export function parseAssetUpdate(update: AssetUpdate): ParsedAssetUpdate {
  const { id, filename, setMetadata, removeMetadata } = update;
  return {
    id,
    filename: filename == null ? null : parseFilename(filename, ['input', 'filename']),
    ...parseMetadataChange({ set: setMetadata ?? [], remove: removeMetadata ?? [] }, ['input']),
  };
}

/** The difference between a draft and the stored asset. */
export interface AssetDifference extends MetadataChange {
  readonly id: string;
  readonly filename: string;
}

/** An asset to which updates are applied one after the other, before the result is written. */
export class AssetDraft {
  private readonly metadata: Map<string, string | null>;
  private name: string;

  /**
   * @param stored metadata by key; the value may be null if no update sets the key
   */
  constructor(
    readonly asset: Asset,
    private readonly stored: ReadonlyMap<string, string | null>,
  ) {
    this.metadata = new Map(stored);
    this.name = asset.filename;
  }

  get filename(): string {
    return this.name;
  }

  /** Applies the whole update. @throws StowageError invalid METADATA_INVALID, without a change, for too many entries */
  apply({ filename, set, remove }: ParsedAssetUpdate): void {
    const keys = new Set(this.metadata.keys());
    for (const key of remove) keys.delete(key);
    for (const { key } of set) keys.add(key);
    if (keys.size > MAX_METADATA) {
      const message = `An asset can have at most ${MAX_METADATA} metadata entries.`;
      throw invalid('METADATA_INVALID', message, ['input', 'setMetadata']);
    }
    for (const key of remove) this.metadata.delete(key);
    for (const { key, value } of set) this.metadata.set(key, value);
    this.name = filename ?? this.name;
  }

  /** Null if the updates leave the asset as it is stored. */
  get difference(): AssetDifference | null {
    const set = [...this.metadata].flatMap(([key, value]) =>
      value === null || this.stored.get(key) === value ? [] : { key, value },
    );
    const remove = [...this.stored.keys()].filter((key) => !this.metadata.has(key));
    const { asset, filename } = this;
    if (filename === asset.filename && set.length === 0 && remove.length === 0) return null;
    return { id: asset.id, filename, set, remove };
  }
}
