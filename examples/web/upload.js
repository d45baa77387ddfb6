import { ApiError } from './graphql.js';
import { hash } from './hash.js';
import { fingerprintOf, forget, keep, recordOf } from './records.js';
import { retried } from './retry.js';
import { isSettled, settled } from './settled.js';
import { progressOf, put, sendPiece, SessionLost, TicketExpired } from './storage.js';

/** Files up to this size are sent in one PUT, which restarts from the beginning. Larger ones are sent in chunks. */
const LARGE_BYTES = 8 * 2 ** 20;
const MOST_AT_ONCE = 3;
const MOST_RENEWALS = 5;

/** The page was reloaded before all bytes were sent, so the user must choose the file again. */
class FileNeeded extends Error {}

let running = 0;
const waiting = [];

/** Runs the work when fewer than MOST_AT_ONCE others run. */
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
 * The upload of one file, from its choice to an asset with a final status. After any interruption `start` resumes it.
 * Dispatches a `change` event for each change.
 */
export class Upload extends EventTarget {
  /** QUEUED, HASHING, REQUESTING, SENDING, RETRYING, CHECKING, PAUSED, NEEDS_FILE, CANCELLING, BROKEN, or the asset's status. */
  phase = 'QUEUED';
  /** Bytes that are hashed or sent so far. */
  done = 0;
  /** Error that explains RETRYING or BROKEN. */
  problem = null;
  asset = null;
  #api;
  #file;
  #record;
  #run = null;
  /** Whether the session may have bytes of an earlier attempt. Only storage knows how many. */
  #isBegun = false;

  /** @param source a File, or the record of a file that was chosen before the page was loaded */
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

  /** Whether the asset has a final status. Choosing the file again then makes a new upload. */
  get isOver() {
    return this.asset !== null && isSettled(this.asset);
  }

  get isRunning() {
    return this.#run !== null;
  }

  isOf(file) {
    return fingerprintOf(file) === this.#record.fingerprint;
  }

  /** Starts, or resumes after a pause, a failure or a reload. After a reload it may need the file again. */
  start(file = this.#file) {
    this.#file = file;
    if (this.#run !== null || this.isOver) return;
    const run = new AbortController();
    this.#run = run;
    this.#become('QUEUED');
    // Another tab may be uploading the same file.
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

  /** Cancels the upload and releases its quota. This is too late once the bytes are received. */
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
    // The answer to the request may have been lost.
    const id = assetId ?? (await this.#api.request(input, signal)).asset.id;
    return this.#api.cancel(id, signal);
  }

  async #work(signal) {
    const asset = await inTurn(signal, () => this.#deliver(signal));
    this.#become('CHECKING');
    this.asset = await settled(this.#api, asset, {
      signal,
      onChange: (seen) => {
        this.asset = seen;
        this.#tell();
      },
    });
    this.#end(this.asset.status);
  }

  /** Brings the bytes to storage and returns the asset. */
  async #deliver(signal) {
    const record = this.#record;
    record.input ??= await this.#describe(signal);
    const { asset, upload } = await this.#retried(signal, 'REQUESTING', () => this.#request(signal));
    this.asset = asset;
    if (upload === null) return asset;
    if (this.#file === null) throw new FileNeeded();
    const outcome = await this.#send(upload, signal);
    if (outcome === 'sent') return asset;
    return this.#retried(signal, 'CHECKING', () => this.#api.complete(asset.id, signal));
  }

  async #request(signal) {
    const record = this.#record;
    record.isRequested = true;
    // Kept before the request is sent, because the page may be closed before the answer.
    keep(record);
    try {
      const answer = await this.#api.request(record.input, signal);
      // The first asset may have been purged, and a session belongs to one asset.
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
      // Storage may report the expiry only after all bytes. The first ticket is new, whatever the local clock says.
      if (isSecond && Date.parse(ticket.expiresAt) < Date.now())
        throw new TicketExpired('The upload URL has expired');
      isSecond = true;
      return put(ticket, this.#file, { signal, onProgress: this.#progress });
    });
  }

  async #sendPieces(ticket, signal) {
    const { size } = this.#file;
    const session = ticket.url;
    // Only storage knows the offset of an interrupted session.
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
