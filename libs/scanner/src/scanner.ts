/**
 * What a scanner has to say of some bytes. `unscannable`: it could not look into all of them (too large, encrypted, an
 * archive beyond its limits); what that means is the caller's policy. `error`: it is there and failed on these very bytes.
 */
export type Verdict =
  | { readonly outcome: 'clean' }
  | { readonly outcome: 'infected'; readonly signature: string }
  | { readonly outcome: 'unscannable'; readonly why: string }
  | { readonly outcome: 'error'; readonly message: string };

/** Who scans, and by which signatures. */
export interface ScannerIdentity {
  /** Whole, for records: changes whenever the engine or its signatures do. At most 128 characters. */
  readonly label: string;
  /** Of the signatures; null where they have no date. */
  readonly signaturesAt: Date | null;
}

export interface ScanOptions {
  readonly sizeBytes: number;
  /** SHA-256 in hex of the content; to be asked once all of it has been read. */
  readonly sha256: () => string;
  readonly signal?: AbortSignal;
}

/**
 * Looks for malware. A scanner that is down, slow to answer or set up so that it cannot be trusted is an `unavailable`
 * StowageError (reason SCANNER_UNAVAILABLE): the work waits, and no verdict is made up for it.
 */
export abstract class Scanner {
  /**
   * Reads the content to wherever it must; who calls reads on to the end what is left. It is done with a chunk when it asks
   * for the next one. Errors of the content are thrown as they are.
   */
  abstract scan(content: AsyncIterable<Buffer>, options: ScanOptions): Promise<Verdict>;

  /** Who is scanning now; may be remembered for a minute. */
  abstract identify(signal?: AbortSignal): Promise<ScannerIdentity>;

  /** Whether it could scan now; for health. @throws StowageError unavailable SCANNER_UNAVAILABLE */
  abstract check(signal?: AbortSignal): Promise<void>;
}
