/**
 * Result of a scan. `unscannable`: the scanner could not scan all of the content (too large, encrypted, an archive
 * beyond its limits); the caller's policy decides. `error`: the scanner is available but failed on this content.
 */
export type Verdict =
  | { readonly outcome: 'clean' }
  | { readonly outcome: 'infected'; readonly signature: string }
  | { readonly outcome: 'unscannable'; readonly why: string }
  | { readonly outcome: 'error'; readonly message: string };

/** Engine and signatures of a scanner. */
export interface ScannerIdentity {
  /** At most 128 characters, for records; changes whenever the engine or its signatures change. */
  readonly label: string;
  /** Date of the signatures; null if unknown. */
  readonly signaturesAt: Date | null;
}

/** Properties of the content to scan. */
export interface ScanOptions {
  readonly sizeBytes: number;
  /** Returns the content's SHA-256 in hex; may be called only after the whole content was read. */
  readonly sha256: () => string;
  readonly signal?: AbortSignal;
}

/**
 * Port to a malware scanner. A scanner that is down, too slow or misconfigured causes an `unavailable` StowageError
 * (reason SCANNER_UNAVAILABLE): the caller waits and retries; no verdict is assumed.
 */
export abstract class Scanner {
  /**
   * Scans a content. The scanner may stop reading early; the caller reads the rest. The scanner releases a chunk when
   * it requests the next one. Errors of the content are thrown unchanged.
   */
  abstract scan(content: AsyncIterable<Buffer>, options: ScanOptions): Promise<Verdict>;

  /** Returns the current identity, which may be cached for a minute. */
  abstract identify(signal?: AbortSignal): Promise<ScannerIdentity>;

  /** Checks whether a scan could run now. @throws StowageError unavailable SCANNER_UNAVAILABLE */
  abstract check(signal?: AbortSignal): Promise<void>;
}
