import { Injectable } from '@nestjs/common';
import { ContentDigest, type Digest, HEAD_BYTES, shared } from '#libs/content';
import type { ObjectVersion } from '#libs/domain';
import { ARCHIVE_TAIL_BYTES, InspectedTypes, Inspector } from '#libs/inspection';
import { release } from '#libs/runtime';
import { Scanner, type Verdict } from '#libs/scanner';
import { ObjectStore } from '#libs/storage';
import { ProcessingMetrics } from './processing-metrics.js';
import { ReaderNeeded } from './reader-needed.js';
import { Spool, type SpoolFile } from './spool.js';

export interface ReadRequest {
  readonly object: ObjectVersion;
  readonly sizeBytes: number;
  /** The declared type. Files of types without a reader need no disk space. */
  readonly mimeType: string;
}

export interface ReadOptions {
  /** False to read only files that need no reader (a parser in a child process). */
  readonly mayInspect: boolean;
  readonly signal?: AbortSignal;
}

/** The result of one read. The caller must dispose the result, which deletes the spooled file. */
export interface ReadResult extends AsyncDisposable {
  readonly digest: Digest;
  readonly verdict: Verdict;
  /** Label of the scanner: engine and signatures. */
  readonly scannedBy: string;
  /** Media type detected from the first bytes; null for an unknown type. */
  readonly detected: string | null;
  /** Path of the spooled file; null for a file that needs no reader or is too large. */
  readonly path: string | null;
  /** Whether the service itself must inspect the file, which exceeds the capacity of the spool. */
  readonly isTooLarge: boolean;
  /** Whether a file that was not spooled can also be unpacked as a ZIP archive. */
  readonly isAlsoArchive: boolean;
}

/**
 * Reads an object once, raw, at one generation. The scanner consumes the chunks; on the way they are hashed and, for files that
 * need a reader, spooled to disk. Memory use does not depend on the size of the file.
 */
@Injectable()
export class ContentReader {
  constructor(
    private readonly store: ObjectStore,
    private readonly scanner: Scanner,
    private readonly inspector: Inspector,
    private readonly types: InspectedTypes,
    private readonly spool: Spool,
    private readonly metrics: ProcessingMetrics,
  ) {}

  /**
   * Reads, hashes, scans and, if needed, spools an object.
   * @throws ReaderNeeded when `mayInspect` is false, after the first bytes and before the file takes disk space
   * @throws StowageError not-found OBJECT_NOT_FOUND; unavailable, for storage, scanner or disk
   * @throws InspectionFailed
   */
  async read(
    { object, sizeBytes, mimeType }: ReadRequest,
    { mayInspect, signal }: ReadOptions,
  ): Promise<ReadResult> {
    // Identified before the scan, because the signatures may be updated during the scan.
    const { label: scannedBy } = await this.scanner.identify(signal);
    const fits = this.spool.fits(sizeBytes);
    const mayNeedReader = fits && this.types.mayBeInspected(mimeType);
    const file = mayNeedReader && mayInspect ? await this.spool.reserve(sizeBytes, signal) : null;
    const digest = new ContentDigest(Math.max(0, sizeBytes - ARCHIVE_TAIL_BYTES), sizeBytes);
    const isNeeded = (detected: string | null) => this.types.needsWholeFile(mimeType, detected);
    const pass = new Pass(
      file,
      digest,
      isNeeded,
      (head) => this.inspector.detect(head, sizeBytes, signal),
      mayNeedReader && !mayInspect,
    );
    const reading = new AbortController();
    const stop = () => reading.abort(signal?.reason);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      signal?.throwIfAborted();
      const content = pass.through(this.store.read(object, { signal: reading.signal }));
      const options = { sizeBytes, sha256: () => pass.digest.sha256(), signal };
      const verdict = await this.scanner.scan(shared(content), options);
      this.metrics.scanned(verdict.outcome);
      // The scanner may stop early; the rest is read for the digest.
      while ((await content.next()).done !== true);
      const { detected } = pass;
      const path = pass.file?.path ?? null;
      return {
        digest: digest.result(),
        verdict,
        scannedBy,
        detected,
        path,
        isAlsoArchive:
          path === null && (await this.inspector.detectArchive(digest.tail, { sizeBytes, detected }, signal)),
        isTooLarge: !fits && this.types.mustBeInspected(mimeType, detected),
        [Symbol.asyncDispose]: async () => pass.file?.[Symbol.asyncDispose](),
      };
    } catch (error) {
      reading.abort(error);
      await file?.[Symbol.asyncDispose]();
      // The scanner may have wrapped the error of its input.
      throw pass.readerNeeded ?? error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }
}

/** Passes the chunks of one object from storage to the scanner, and to the digest and the spool. */
class Pass {
  detected: string | null = null;
  readerNeeded: ReaderNeeded | null = null;
  private isDetected = false;

  constructor(
    public file: SpoolFile | null,
    readonly digest: ContentDigest,
    private readonly isNeeded: (detected: string | null) => boolean,
    private readonly detect: (head: Buffer) => Promise<string | null>,
    private readonly rejectsNeeded: boolean,
  ) {}

  async *through(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      const inHead = this.digest.update(chunk);
      if (!this.isDetected && this.digest.headBytes === HEAD_BYTES) await this.decide();
      // The first bytes stay in the head until the type is known, and with it whether the file is needed on disk.
      const spooled = this.file !== null && this.isDetected && inHead < chunk.length;
      yield chunk;
      if (spooled) await this.file!.add(inHead === 0 ? chunk : chunk.subarray(inHead), release);
      else release(chunk);
    }
    if (!this.isDetected) await this.decide();
    await this.file?.finish();
  }

  /** Detects the type, which decides whether the file is needed on disk. */
  private async decide(): Promise<void> {
    const { head } = this.digest;
    this.detected = await this.detect(head);
    this.isDetected = true;
    if (this.rejectsNeeded && this.isNeeded(this.detected)) throw (this.readerNeeded = new ReaderNeeded());
    if (this.file === null) return;
    if (this.isNeeded(this.detected)) await this.file.add(head, () => undefined);
    else {
      await this.file[Symbol.asyncDispose]();
      this.file = null;
    }
  }
}
