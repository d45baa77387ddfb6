import { ApiError } from '../http/errors.js';
import { release } from '../release.js';
import { ContentDigest } from '../store/digest.js';
import type { StoredObject } from '../store/objects.js';
import type { Session } from '../store/sessions.js';
import type { Store } from '../store/store.js';
import { checkBeforeUpload, checkContent, checkOf, type Digests } from '../uploads.js';
import { nextStep, QUANTUM, type ContentRange, type Step } from './content-range.js';
import { Turns } from './turns.js';

/** One PUT on a session. */
export interface SessionPut {
  range: ContentRange;
  /** Length of the body in bytes, if announced. */
  length: number | undefined;
  /** Hashes of the whole object, checked only on the request that completes the upload. */
  digests: Digests;
  /** Called at most once, and not at all when the request is rejected. */
  body: () => AsyncIterable<Buffer>;
  /** Makes the running body end with an error. */
  interrupt: () => void;
}

/** Result of a PUT; `stored` in bytes. */
export type Outcome =
  | { kind: 'finished'; object: StoredObject }
  | { kind: 'incomplete'; stored: number }
  | Extract<Step, { kind: 'refuse' }>;

/** State of writing a PUT's body: its session, its limits and its progress. */
interface Transfer {
  kind: 'receive';
  session: Session;
  step: Extract<Step, { kind: 'receive' }>;
  digest: ContentDigest | undefined;
  /** Bytes of the object in the file, including bytes that are not yet flushed to disk. */
  end: number;
}

/** Bytes between flushes to disk: a power cut costs a running request at most this much. */
const CHECKPOINT = 16 * 1024 * 1024;
const SWEEP_INTERVAL_MS = 60_000;
/** Number of digests kept between requests. Without one, the bytes are read again when the upload ends. */
const MAX_DIGESTS = 1000;

/** When the total is unknown, a range without an end extends to the end of the object. */
const isWhole = ({ last, total }: Transfer['step'], reached: number) =>
  total === undefined ? last === undefined : reached === total;

const wholeQuanta = (size: number) => size - (size % QUANTUM);

/**
 * Resumable uploads: https://docs.cloud.google.com/storage/docs/performing-resumable-uploads. Bytes reported as stored
 * are on disk and survive the loss of the connection, the process or the machine. Of concurrent requests on a session,
 * the latest wins.
 */
export class ResumableUploads {
  private readonly turns = new Turns();
  private readonly digests = new Map<string, ContentDigest>();
  private readonly timer: NodeJS.Timeout;
  private sweeping: Promise<void> | undefined;

  constructor(
    private readonly store: Store,
    private readonly onError: (error: unknown) => void,
  ) {
    this.timer = setInterval(() => this.sweep(), SWEEP_INTERVAL_MS).unref();
    this.sweep();
  }

  /** Stops the sweep of expired sessions and waits for a running one. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }

  /**
   * Starts a session and returns its id, which is a secret.
   * @throws {ApiError} when the bucket, the conditions or the announced size already rule the upload out
   */
  start(upload: Pick<Session, 'api' | 'origin' | 'upload' | 'total'>): string {
    checkBeforeUpload(this.store, upload.upload);
    checkSize(upload.upload.size, upload.total, 0);
    this.sweep();
    return this.store.sessions.create(upload);
  }

  /**
   * Returns an open or finished session.
   * @throws {ApiError} noSuchUpload, cancelled or uploadGone
   */
  get(id: string): Session {
    const session = this.store.sessions.find(id);
    if (session === undefined) throw new ApiError('noSuchUpload');
    if (session.state === 'cancelled') throw new ApiError('cancelled');
    if (session.expired) throw new ApiError('uploadGone');
    return session;
  }

  /** Handles a PUT. A progress query does not interrupt a request that is writing. */
  async put(id: string, put: SessionPut): Promise<Outcome> {
    const plan = this.plan(id, put);
    if (plan.kind !== 'receive') return plan;
    return this.turns.take(id, put.interrupt, async () => {
      // The request that held the session before has advanced it, so plan again.
      const current = this.plan(id, put);
      return current.kind === 'receive' ? this.receive(current, put) : current;
    });
  }

  private plan(id: string, { range, length }: SessionPut): Outcome | Transfer {
    const session = this.get(id);
    if (session.object) return { kind: 'finished', object: session.object };
    const step = nextStep(range, session, length);
    if (step.kind === 'report') return { kind: 'incomplete', stored: session.stored };
    if (step.kind === 'refuse') return step;
    checkSize(session.upload.size, step.total, step.first + (length ?? 0));
    return { kind: 'receive', session, step, digest: undefined, end: session.stored };
  }

  /** Cancels a session. No later request can add to it or complete it; a running request is interrupted. */
  async cancel(id: string): Promise<void> {
    const session = this.get(id);
    if (session.object) throw new ApiError('uploadGone');
    // Cancelled before waiting for the session: a steady stream of new requests would supersede the cancellation.
    this.store.sessions.cancel(id);
    await this.turns.take(
      id,
      () => undefined,
      () => this.discard(session),
    );
  }

  private async receive(transfer: Transfer, put: SessionPut): Promise<Outcome> {
    const { session, step } = transfer;
    transfer.digest = this.takeDigest(session);
    const reached = await this.append(transfer, put.body());
    if (isWhole(step, reached)) {
      if (reached < transfer.end)
        throw new ApiError('invalid', { message: 'More bytes are already uploaded.' });
      return { kind: 'finished', object: await this.finish(transfer, put.digests) };
    }
    if (step.last !== undefined && reached <= step.last) throw new ApiError('incompleteBody');
    const stored = wholeQuanta(transfer.end);
    if (transfer.digest?.size === stored) this.keepDigest(session.id, transfer.digest);
    return { kind: 'incomplete', stored };
  }

  /** Appends the new part of the body and returns the offset that the body reached. An error keeps bytes written. */
  private async append(transfer: Transfer, body: AsyncIterable<Buffer>): Promise<number> {
    const { session, step, digest } = transfer;
    const file = await this.store.blobs.openToAppend(session.blob, session.stored);
    let reached = step.first;
    let kept = session.stored;
    const keep = async () => {
      await file.datasync();
      kept = this.advance(transfer);
    };
    try {
      for await (const chunk of body) {
        const fresh = chunk.subarray(Math.max(0, transfer.end - reached));
        reached += chunk.length;
        if (reached > step.limit)
          throw new ApiError('invalid', { message: 'The body goes past its Content-Range.' });
        checkSize(session.upload.size, undefined, reached);
        if (fresh.length === 0) continue;
        digest?.update(fresh);
        await file.appendFile(fresh);
        transfer.end += fresh.length;
        release(chunk);
        if (transfer.end - kept >= CHECKPOINT) await keep();
      }
      // The final offset is recorded in the transaction that creates the object.
      await (isWhole(step, reached) ? file.datasync() : keep());
      return reached;
    } catch (error) {
      await keep().catch(this.onError);
      throw error;
    } finally {
      await file.close();
    }
  }

  private advance({ session, step, end }: Transfer): number {
    const stored = wholeQuanta(end);
    this.store.sessions.advance(session.id, stored, step.total);
    return stored;
  }

  private async finish(transfer: Transfer, digests: Digests): Promise<StoredObject> {
    const { session, digest, end } = transfer;
    const { id, upload, blob } = session;
    try {
      const complete = digest?.size === end ? digest : await this.store.blobs.digest(blob);
      const staged = { id: blob, ...complete.sums() };
      if (staged.size !== end) throw new Error(`the file ${blob} has ${staged.size} bytes, not ${end}`);
      checkContent(staged, upload);
      checkContent(staged, { ...upload, digests });
      return this.store.objects.commit(upload.key, staged, upload.metadata, checkOf(upload), (object) =>
        this.store.sessions.finish(id, object),
      );
    } catch (error) {
      this.advance(transfer);
      throw error;
    }
  }

  private takeDigest({ id, stored }: Session): ContentDigest | undefined {
    const digest = stored === 0 ? new ContentDigest() : this.digests.get(id);
    this.digests.delete(id);
    return digest?.size === stored ? digest : undefined;
  }

  private keepDigest(id: string, digest: ContentDigest): void {
    this.digests.set(id, digest);
    const [oldest] = this.digests.keys();
    if (this.digests.size > MAX_DIGESTS && oldest !== undefined) this.digests.delete(oldest);
  }

  private async discard(session: Session): Promise<void> {
    this.digests.delete(session.id);
    await this.store.blobs.remove(session.blob);
  }

  /** Removes expired sessions and their unfinished files. */
  private sweep(): void {
    this.sweeping ??= this.removeExpired()
      .catch(this.onError)
      .finally(() => (this.sweeping = undefined));
  }

  private async removeExpired(): Promise<void> {
    for (const id of this.store.sessions.expired()) {
      await this.turns.take(
        id,
        () => undefined,
        async () => {
          const session = this.store.sessions.find(id);
          if (session === undefined) return;
          this.store.sessions.remove(id);
          if (session.state !== 'finished') await this.discard(session);
        },
      );
    }
  }
}

/** Checks the size range that the session fixed against the total, if known, and the bytes so far. */
function checkSize(
  size: { min: number; max: number } | undefined,
  total: number | undefined,
  atLeast: number,
): void {
  if (size === undefined) return;
  if (Math.max(total ?? 0, atLeast) > size.max) throw new ApiError('tooLarge');
  if (total !== undefined && total < size.min) throw new ApiError('tooSmall');
}
