import { Injectable } from '@nestjs/common';
import { ContentDigest, type Digest, HEAD_BYTES, shared } from '#libs/content';
import type { ObjectVersion } from '#libs/domain';
import { ARCHIVE_TAIL_BYTES, Inspector, mayBeInspected, needsWholeFile } from '#libs/inspection';
import { release } from '#libs/runtime';
import { Scanner, type Verdict } from '#libs/scanner';
import { ObjectStore } from '#libs/storage';
import { ProcessingMetrics } from './processing-metrics.js';
import { ReaderNeeded } from './reader-needed.js';
import { Spool, type SpoolFile } from './spool.js';

export interface ReadRequest {
  readonly object: ObjectVersion;
  readonly sizeBytes: number;
  /** The declared type: what nobody looks into needs no room on disk. */
  readonly mimeType: string;
}

export interface ReadOptions {
  /** False to take only files that no reader looks into. */
  readonly mayInspect: boolean;
  readonly signal?: AbortSignal;
}

/** What one read has brought. Whoever takes it in disposes of it, and so of the file. */
export interface ReadResult extends AsyncDisposable {
  readonly digest: Digest;
  readonly verdict: Verdict;
  /** Engine and signatures. */
  readonly scannedBy: string;
  /** As the head shows. */
  readonly detected: string | null;
  /** The whole file on disk, of kinds that somebody looks into. */
  readonly path: string | null;
  /** It would be looked into, and can never have room. */
  readonly isTooLarge: boolean;
  /** It is not on disk, and can be unpacked as a ZIP archive all the same. */
  readonly isArchiveToo: boolean;
}

/**
 * Reads an object once, raw, at one generation. Hash, checksum, size and head are taken as the chunks go by, the scanner is the
 * one consumer, and what somebody is to look into goes to disk on the way. Memory does not grow with the file.
 */
@Injectable()
export class ContentReader {
  constructor(
    private readonly store: ObjectStore,
    private readonly scanner: Scanner,
    private readonly inspector: Inspector,
    private readonly spool: Spool,
    private readonly metrics: ProcessingMetrics,
  ) {}

  /**
   * @throws ReaderNeeded when `mayInspect` is false: as soon as the first bytes show it, and before the file takes room on disk
   * @throws StowageError not-found OBJECT_NOT_FOUND; unavailable, of storage, scanner or disk; InspectionFailed
   */
  async read(
    { object, sizeBytes, mimeType }: ReadRequest,
    { mayInspect, signal }: ReadOptions,
  ): Promise<ReadResult> {
    // Before the scan: what it is told later may be newer than what it scanned with.
    const { label: scannedBy } = await this.scanner.identify(signal);
    const fits = this.spool.fits(sizeBytes);
    const isForReaders = fits && mayBeInspected(mimeType);
    const room = isForReaders && mayInspect ? await this.spool.reserve(sizeBytes, signal) : null;
    const digest = new ContentDigest(Math.max(0, sizeBytes - ARCHIVE_TAIL_BYTES), sizeBytes);
    const isNeeded = (detected: string | null) => needsWholeFile(mimeType, detected);
    const pass = new Pass(
      room,
      digest,
      isNeeded,
      (head) => this.inspector.detect(head, signal),
      isForReaders && !mayInspect,
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
      // A scanner that has seen enough leaves the rest.
      while ((await content.next()).done !== true);
      const { detected } = pass;
      const path = pass.room?.path ?? null;
      return {
        digest: digest.result(),
        verdict,
        scannedBy,
        detected,
        path,
        isArchiveToo:
          path === null && (await this.inspector.detectArchive(digest.tail, { sizeBytes, detected }, signal)),
        isTooLarge: !fits && isNeeded(detected),
        [Symbol.asyncDispose]: async () => pass.room?.[Symbol.asyncDispose](),
      };
    } catch (error) {
      reading.abort(error);
      await room?.[Symbol.asyncDispose]();
      // The scanner may have made another error of it.
      throw pass.refusal ?? error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }
}

/** One pass of chunks from the source to the consumer. */
class Pass {
  detected: string | null = null;
  refusal: ReaderNeeded | null = null;
  private isDetected = false;

  constructor(
    public room: SpoolFile | null,
    readonly digest: ContentDigest,
    private readonly isNeeded: (detected: string | null) => boolean,
    private readonly detect: (head: Buffer) => Promise<string | null>,
    private readonly refusesNeeded: boolean,
  ) {}

  async *through(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of source) {
      const inHead = this.digest.update(chunk);
      if (!this.isDetected && this.digest.headBytes === HEAD_BYTES) await this.decide();
      // Until it is known whether anybody needs them, the first bytes wait in the head.
      const spooled = this.room !== null && this.isDetected && inHead < chunk.length;
      yield chunk;
      if (spooled) await this.room!.add(inHead === 0 ? chunk : chunk.subarray(inHead), release);
      else release(chunk);
    }
    if (!this.isDetected) await this.decide();
    await this.room?.finish();
  }

  /** The type, and with it whether the file is needed on disk. */
  private async decide(): Promise<void> {
    const { head } = this.digest;
    this.detected = await this.detect(head);
    this.isDetected = true;
    if (this.refusesNeeded && this.isNeeded(this.detected)) throw (this.refusal = new ReaderNeeded());
    if (this.room === null) return;
    if (this.isNeeded(this.detected)) await this.room.add(head, () => undefined);
    else {
      await this.room[Symbol.asyncDispose]();
      this.room = null;
    }
  }
}
