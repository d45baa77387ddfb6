import { ApiError } from './graphql.js';
import { hash } from './hash.js';
import { fingerprintOf, forget, keep, recordOf } from './records.js';
import { retried } from './retry.js';
import { isSettled, settled } from './settled.js';
import { progressOf, put, sendPiece, SessionLost, TicketExpired } from './storage.js';

/** Files up to this size go in one PUT, which starts again from the beginning; larger ones in pieces. */
const LARGE_BYTES = 8 * 2 ** 20;
const MOST_AT_ONCE = 3;
const MOST_RENEWALS = 5;

/** The page was loaded anew, and the bytes have not all been sent. */
class FileNeeded extends Error {}

let running = 0;
const waiting = [];

/** Does the work when fewer than so many others are being done. */
async function inTurn(signal, work) {
  while (running >= MOST_AT_ONCE) await new Promise((resolve) => waiting.push(resolve));
  if (signal.aborted) {
    waiting.shift()?.();
    throw signal.reason;
  }
  running++;
  try {
    return await work();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/**
 * One file on its way, from the choice to a settled asset. Whatever interrupts it, `start` goes on where it was. Each change
 * is a `change` event.
 */
export class Upload extends EventTarget {
  /** QUEUED, HASHING, REQUESTING, SENDING, RETRYING, SETTLING, PAUSED, NEEDS_FILE, CANCELLING, BROKEN, or the asset's status. */
  phase = 'QUEUED';
  /** Bytes that are hashed, or sent. */
  done = 0;
  /** Why it is RETRYING or BROKEN. */
  problem = null;
  asset = null;
  #api;
  #file;
  #record;
  #run = null;
  /** Whether the session may have bytes of an earlier attempt; how many, storage knows. */
  #isBegun = false;

  /** @param source a File, or the record of one that was chosen before the page was loaded */
  constructor(api, source) {
    super();
    this.#api = api;
    const isFile = source instanceof File;
    this.#file = isFile ? source : null;
    this.#record = isFile ? recordOf(source) : source;
  }

  get name() {
    return this.#record.name;
  }

  get size() {
    return this.#record.size;
  }

  /** Whether it has come to its end; then the same file would be a new upload. */
  get isOver() {
    return this.asset !== null && isSettled(this.asset);
  }

  get isRunning() {
    return this.#run !== null;
  }

  isOf(file) {
    return fingerprintOf(file) === this.#record.fingerprint;
  }

  /** Begins, or goes on after a pause, a failure or a reload; after that it may turn out to need the file again. */
  start(file = this.#file) {
    this.#file = file;
    if (this.#run !== null || this.isOver) return;
    const run = new AbortController();
    this.#run = run;
    this.#become('QUEUED');
    // Another tab may be at the same file.
    const name = `stowage ${this.#record.fingerprint}`;
    navigator.locks
      .request(name, { signal: run.signal }, () => this.#work(run.signal))
      .catch((error) => {
        if (run.signal.aborted) return;
        if (error instanceof FileNeeded) this.#become('NEEDS_FILE');
        else this.#become('BROKEN', error);
      })
      .finally(() => {
        if (this.#run === run) this.#run = null;
        this.#tell();
      });
  }

  pause() {
    this.#stop();
    this.#become('PAUSED');
  }

  /** Calls it off and gives the quota back; too late once the bytes have arrived. */
  async cancel() {
    this.#stop();
    this.#become('CANCELLING');
    const run = new AbortController();
    this.#run = run;
    try {
      this.asset = await this.#retried(run.signal, 'CANCELLING', () => this.#cancelled(run.signal));
      this.#end(this.asset.status);
    } catch (error) {
      this.#run = null;
      if (error.reason === 'UPLOAD_NOT_PENDING') this.start();
      else this.#become('BROKEN', error);
    }
  }

  async #cancelled(signal) {
    const { input, assetId, isRequested } = this.#record;
    if (!isRequested) return { status: 'CANCELLED' };
    // The answer to the request may not have reached us.
    const id = assetId ?? (await this.#api.request(input, signal)).asset.id;
    return this.#api.cancel(id, signal);
  }

  async #work(signal) {
    const asset = await inTurn(signal, () => this.#bring(signal));
    this.#become('SETTLING');
    this.asset = await settled(this.#api, asset, {
      signal,
      onChange: (seen) => {
        this.asset = seen;
        this.#tell();
      },
    });
    this.#end(this.asset.status);
  }

  /** The asset, its bytes in storage. */
  async #bring(signal) {
    const record = this.#record;
    record.input ??= await this.#describe(signal);
    const { asset, upload } = await this.#retried(signal, 'REQUESTING', () => this.#request(signal));
    this.asset = asset;
    if (upload === null) return asset;
    if (this.#file === null) throw new FileNeeded();
    const outcome = await this.#send(upload, signal);
    if (outcome === 'sent') return asset;
    return this.#retried(signal, 'SETTLING', () => this.#api.complete(asset.id, signal));
  }

  async #request(signal) {
    const record = this.#record;
    record.isRequested = true;
    // Before it is sent: the answer may find nobody here.
    keep(record);
    try {
      const answer = await this.#api.request(record.input, signal);
      // The first asset may have been purged; a session belongs to one.
      this.#isBegun = record.assetId === answer.asset.id;
      record.assetId = answer.asset.id;
      keep(record);
      return answer;
    } catch (error) {
      if (error instanceof ApiError && record.assetId === undefined) {
        record.isRequested = false;
        forget(record);
      }
      throw error;
    }
  }

  async #describe(signal) {
    this.#become('HASHING');
    const { checksumSha256, crc32c } = await hash(this.#file, { signal, onProgress: this.#progress });
    const { name: filename, size: sizeBytes, type } = this.#file;
    const isLarge = sizeBytes > LARGE_BYTES;
    return {
      filename,
      sizeBytes,
      mimeType: type || 'application/octet-stream',
      checksumSha256,
      crc32c,
      method: isLarge ? 'RESUMABLE' : 'PUT',
      idempotencyKey: this.#record.idempotencyKey,
    };
  }

  async #send(ticket, signal) {
    for (let renewals = 0; ; renewals++) {
      try {
        return await (ticket.method === 'PUT'
          ? this.#sendWhole(ticket, signal)
          : this.#sendPieces(ticket, signal));
      } catch (error) {
        const isStale = error instanceof TicketExpired || error instanceof SessionLost;
        if (!isStale || renewals === MOST_RENEWALS) throw error;
        const { assetId } = this.#record;
        ticket = await this.#retried(signal, 'REQUESTING', () => this.#api.renew(assetId, signal));
      }
    }
  }

  #sendWhole(ticket, signal) {
    let isSecond = false;
    return this.#retried(signal, 'SENDING', () => {
      // Storage would say so too, but maybe not before it has got the bytes. The first time the ticket is fresh, whatever our clock says.
      if (isSecond && Date.parse(ticket.expiresAt) < Date.now())
        throw new TicketExpired('The upload URL has expired');
      isSecond = true;
      return put(ticket, this.#file, { signal, onProgress: this.#progress });
    });
  }

  async #sendPieces(ticket, signal) {
    const { size } = this.#file;
    const session = ticket.url;
    // Of a session that was interrupted, only storage knows how far it came.
    let offset = this.#isBegun ? null : 0;
    this.#isBegun = true;
    while (typeof offset !== 'string') {
      offset = await this.#retried(signal, 'SENDING', async () => {
        const from = offset;
        offset = null;
        if (from === null) return progressOf(session, size, { signal });
        return sendPiece(session, this.#file, from, { signal, onProgress: this.#progress });
      });
      if (typeof offset === 'number') this.#progress(offset);
    }
    return offset;
  }

  #retried(signal, phase, work) {
    const again = () => {
      this.#become(phase);
      return work();
    };
    return retried(again, { signal, onPause: (error) => this.#become('RETRYING', error) });
  }

  #progress = (bytes) => {
    this.done = bytes;
    this.#tell();
  };

  #stop() {
    this.#run?.abort();
    this.#run = null;
  }

  #end(phase) {
    this.#run = null;
    forget(this.#record);
    this.#become(phase);
  }

  #become(phase, problem = null) {
    if (phase === this.phase && problem === null) return;
    if (phase === 'HASHING' || (phase === 'SENDING' && this.phase === 'REQUESTING')) this.done = 0;
    this.phase = phase;
    this.problem = problem;
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event('change'));
  }
}
