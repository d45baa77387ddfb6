import type { NetConnectOpts } from 'node:net';
import { Readable } from 'node:stream';
import { type StowageError, unavailable } from '#libs/domain';
import { abortable } from '../abortable.js';
import { Scanner, type ScannerIdentity, type ScanOptions, type Verdict } from '../scanner.js';
import { parseClamdAddress } from './clamd-address.js';
import { ClamdConnection, ConnectionLostError } from './clamd-connection.js';
import { printable, TOO_LARGE, verdictOf } from './clamd-replies.js';
import { selfTest } from './clamd-self-test.js';
import { parseVersion } from './clamd-version.js';
import { ConnectionLossCounter } from './connection-loss-counter.js';
import { sendContent } from './send-content.js';

/** Address, limits and timeouts of a {@link ClamdScanner}. */
export interface ClamdScannerOptions {
  /** `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  /** Suffix of the label, to name signatures besides the official ones: clamd's version does not include them. */
  readonly suffix?: string;
  /** Larger files are `unscannable`. At most clamd's StreamMaxLength, MaxFileSize and MaxScanSize. */
  readonly maxBytes: number;
  /** Limit for connecting, in milliseconds. Default 5 s. */
  readonly connectMs?: number;
  /** Limit for the reply to PING or VERSION, in milliseconds. Default 10 s. */
  readonly commandMs?: number;
  /** How long clamd may leave sent data unread, in milliseconds. Default 30 s. */
  readonly idleMs?: number;
  /**
   * Limit for the verdict after the whole content was sent, in milliseconds: above clamd's MaxScanTime (120 s). Default
   * 150 s.
   */
  readonly replyMs?: number;
  /** How long a passed self-test stays valid, in milliseconds. Default one minute. */
  readonly identityMs?: number;
}

/**
 * Number of consecutive connection losses during scans of one content after which the content counts as the cause.
 * After each loss the daemon must pass a self-test before the next scan. Fewer losses are no proof: the daemon may have
 * been stopped, or be one of several.
 */
const MAX_LOSSES = 3;

const scannerUnavailable = (error: unknown): StowageError =>
  unavailable('SCANNER_UNAVAILABLE', 'The virus scanner is not available. Try again later.', error);

const unexpectedReply = (reply: string, command: string) =>
  scannerUnavailable(new Error(`clamd answers ${printable(reply)} to ${command}`));

/** Maps a lost connection to `unavailable`. */
function throwUnavailable(error: unknown): never {
  throw error instanceof ConnectionLostError ? scannerUnavailable(error) : error;
}

/** Identity of a daemon that passed its self-test, valid until `until` on the monotonic clock. */
interface Verified {
  readonly identity: ScannerIdentity;
  readonly until: number;
}

/**
 * Scanner for ClamAV's daemon over its protocol (clamd(8): PING, VERSION, INSTREAM). The daemon must pass a self-test
 * first: it must detect a test virus and report content that it could not scan, which its default configuration does
 * not. A scan without a complete, known reply throws `unavailable`. If one content repeatedly breaks the connection,
 * the outcome is `error`, so that its job does not wait forever.
 */
export class ClamdScanner extends Scanner {
  private readonly target: NetConnectOpts;
  private readonly suffix: string;
  private readonly options: Required<Omit<ClamdScannerOptions, 'address' | 'suffix'>>;
  private readonly lost = new ConnectionLossCounter();
  private verified: Verified | undefined;
  private pendingSelfTest: Promise<Verified> | undefined;

  /** @throws Error with one sentence for the operator if the address is invalid */
  constructor({ address, suffix = '', ...options }: ClamdScannerOptions) {
    super();
    this.target = parseClamdAddress(address);
    this.suffix = suffix;
    this.options = {
      connectMs: 5_000,
      commandMs: 10_000,
      idleMs: 30_000,
      replyMs: 150_000,
      identityMs: 60_000,
      ...options,
    };
  }

  override async scan(content: AsyncIterable<Buffer>, options: ScanOptions): Promise<Verdict> {
    const { sizeBytes, sha256, signal } = options;
    const { maxBytes } = this.options;
    if (sizeBytes > maxBytes) return TOO_LARGE;
    await this.ensureVerified(signal);
    const begunAt = performance.now();
    let isAllSent = false;
    try {
      const verdict = await this.instream(content, maxBytes, signal, () => (isAllSent = true));
      if (isAllSent) this.lost.forget(sha256);
      return verdict;
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
      this.verified = undefined;
      // The content arrived too slowly; the daemon is not at fault.
      const isLate = error.received.startsWith('COMMAND READ TIMED OUT');
      const isLost = isAllSent && !isLate;
      if (isLost && this.lost.note(sha256(), begunAt, performance.now()) >= MAX_LOSSES) {
        return { outcome: 'error', message: `The scanner failed repeatedly on this file: ${error.message}.` };
      }
      throw scannerUnavailable(error);
    }
  }

  override async identify(signal?: AbortSignal): Promise<ScannerIdentity> {
    const { identity } = await this.ensureVerified(signal);
    return identity;
  }

  override async check(signal?: AbortSignal): Promise<void> {
    const answer = await this.command('PING', signal);
    if (answer !== 'PONG') throw unexpectedReply(answer, 'PING');
    await this.ensureVerified(signal);
  }

  /**
   * Scans over one connection.
   * @throws ConnectionLost; StowageError unavailable; the signal's reason; the content's error
   */
  private async instream(
    content: AsyncIterable<Buffer>,
    maxBytes: number,
    signal?: AbortSignal,
    onAllSent?: () => void,
  ): Promise<Verdict> {
    using connection = await ClamdConnection.open(this.target, this.options, signal);
    await connection.send(Buffer.from('zINSTREAM\0'));
    const sent = await abortable(sendContent(content, connection, maxBytes), signal);
    if (sent === 'too-large') return TOO_LARGE;
    if (sent === 'all') onAllSent?.();
    const reply = await connection.reply(this.options.replyMs);
    const verdict = verdictOf(reply);
    // A server that reports a partly received content as clean is not clamd.
    if (verdict === null || (verdict.outcome === 'clean' && sent !== 'all')) {
      throw unexpectedReply(reply, 'INSTREAM');
    }
    return verdict;
  }

  /**
   * Returns the verified identity, running the self-test if needed.
   * @throws StowageError unavailable; the signal's reason
   */
  private async ensureVerified(signal: AbortSignal | undefined): Promise<Verified> {
    signal?.throwIfAborted();
    if (this.verified !== undefined && performance.now() < this.verified.until) return this.verified;
    this.pendingSelfTest ??= this.verify().finally(() => (this.pendingSelfTest = undefined));
    return abortable(this.pendingSelfTest, signal);
  }

  /** Runs the self-test. Takes no signal because concurrent callers share one run. */
  private async verify(): Promise<Verified> {
    const reply = await this.command('VERSION');
    const identity = parseVersion(reply, this.suffix);
    if (identity === null) throw unexpectedReply(reply, 'VERSION');
    const complaint = await selfTest((probe) => this.instream(Readable.from([probe]), probe.length)).catch(
      throwUnavailable,
    );
    if (complaint !== null) throw unavailable('SCANNER_UNAVAILABLE', complaint);
    this.verified = { identity, until: performance.now() + this.options.identityMs };
    return this.verified;
  }

  /** Sends a command that scans nothing. @throws StowageError unavailable; the signal's reason */
  private async command(command: 'PING' | 'VERSION', signal?: AbortSignal): Promise<string> {
    using connection = await ClamdConnection.open(this.target, this.options, signal);
    await connection.send(Buffer.from(`z${command}\0`));
    return await connection.reply(this.options.commandMs).catch(throwUnavailable);
  }
}
