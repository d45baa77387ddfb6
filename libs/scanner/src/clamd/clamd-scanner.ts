import type { NetConnectOpts } from 'node:net';
import { type StowageError, unavailable } from '#libs/domain';
import { abortable } from '../abortable.js';
import { Scanner, type ScannerIdentity, type ScanOptions, type Verdict } from '../scanner.js';
import { parseClamdAddress } from './clamd-address.js';
import { ClamdConnection, ConnectionLost } from './clamd-connection.js';
import { printable, TOO_LARGE, verdictOf } from './clamd-replies.js';
import { selfTest } from './clamd-self-test.js';
import { parseVersion } from './clamd-version.js';
import { LostContents } from './lost-contents.js';
import { sendContent } from './send-content.js';

export interface ClamdScannerOptions {
  /** `host:port`, `[::1]:port` or `unix:/path`. */
  readonly address: string;
  /** Ends the label, for what clamd's own version does not tell: signatures beside the official ones. */
  readonly suffix?: string;
  /** What is larger is unscannable. No more than clamd's StreamMaxLength, MaxFileSize and MaxScanSize. */
  readonly maxBytes: number;
  /** Default 5 s. */
  readonly connectMs?: number;
  /** For the answer to a command that scans nothing. Default 10 s. */
  readonly commandMs?: number;
  /** How long clamd may take no bytes while there are some for it. Default 30 s. */
  readonly idleMs?: number;
  /** For a verdict once all was sent: longer than clamd's MaxScanTime (120 s). Default 150 s. */
  readonly replyMs?: number;
  /** How long it is believed who it is and how it is set up. Default a minute. */
  readonly identityMs?: number;
}

/**
 * A content over which the daemon is lost so often in a row is at fault. Before each scan it is well: once it was lost, nothing is
 * sent to it until it has passed another self test. Less says nothing: it may have been stopped, or be one of several.
 */
const MAX_LOSSES = 3;

const down = (error: unknown): StowageError =>
  unavailable('SCANNER_UNAVAILABLE', 'The virus scanner is not available. Try again later.', error);

/** What is known of a daemon that passed its self test. */
interface Trust {
  readonly identity: ScannerIdentity;
  readonly until: number;
}

/**
 * ClamAV's daemon, by its protocol (clamd(8): PING, VERSION, INSTREAM). It is believed nothing before it has passed a
 * self test: that it knows a virus, and says so when it could not look into something, which by default it does not.
 * A scan without a whole answer that is understood is `unavailable`. Where a content is what ends the daemon, time and
 * again, it is the outcome `error`, so that it does not wait for ever.
 */
export class ClamdScanner extends Scanner {
  private readonly target: NetConnectOpts;
  private readonly suffix: string;
  private readonly options: Required<Omit<ClamdScannerOptions, 'address' | 'suffix'>>;
  private readonly lost = new LostContents();
  private trust: Trust | undefined;
  private contentChecks: Promise<Trust> | undefined;

  /** @throws Error in one sentence when the address is none */
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
    if (sizeBytes > this.options.maxBytes) return TOO_LARGE;
    await this.trusted(signal);
    const begunAt = performance.now();
    let isAllSent = false;
    try {
      const { maxBytes } = this.options;
      const verdict = await this.instream(content, maxBytes, () => (isAllSent = true), signal);
      if (isAllSent) this.lost.forget(sha256);
      return verdict;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      this.trust = undefined;
      // It was the source that was slow.
      const isLate = error.received.startsWith('COMMAND READ TIMED OUT');
      const isLost = isAllSent && !isLate;
      if (isLost && this.lost.note(sha256(), begunAt, performance.now()) >= MAX_LOSSES) {
        return { outcome: 'error', message: `The scanner was lost over it: ${error.message}.` };
      }
      throw down(error);
    }
  }

  override async identify(signal?: AbortSignal): Promise<ScannerIdentity> {
    const { identity } = await this.trusted(signal);
    return identity;
  }

  override async check(signal?: AbortSignal): Promise<void> {
    const answer = await this.ask('PING', signal);
    if (answer !== 'PONG') throw down(new Error(`clamd answers ${printable(answer)} to PING`));
    await this.trusted(signal);
  }

  /** @throws ConnectionLost */
  private async instream(
    content: AsyncIterable<Buffer>,
    maxBytes: number,
    onAllSent: () => void,
    signal?: AbortSignal,
  ): Promise<Verdict> {
    const connection = await ClamdConnection.open(this.target, this.options, signal);
    try {
      await connection.send(Buffer.from('zINSTREAM\0'));
      const sent = await abortable(sendContent(content, connection, maxBytes), signal);
      if (sent === 'too-large') return TOO_LARGE;
      if (sent === 'all') onAllSent();
      const reply = await connection.reply(this.options.replyMs);
      const verdict = verdictOf(reply);
      // Whoever calls clean what it has not seen the end of is not clamd.
      if (verdict === null || (verdict.outcome === 'clean' && sent !== 'all')) {
        throw down(new Error(`clamd answers ${printable(reply)} to INSTREAM`));
      }
      return verdict;
    } finally {
      connection.close();
    }
  }

  /** @throws StowageError unavailable; the signal's reason */
  private async trusted(signal: AbortSignal | undefined): Promise<Trust> {
    signal?.throwIfAborted();
    if (this.trust !== undefined && performance.now() < this.trust.until) return this.trust;
    this.contentChecks ??= this.examine().finally(() => (this.contentChecks = undefined));
    return abortable(this.contentChecks, signal);
  }

  /** For all who wait for it, so it heeds none of their signals. */
  private async examine(): Promise<Trust> {
    const reply = await this.ask('VERSION');
    const identity = parseVersion(reply, this.suffix);
    if (identity === null) throw down(new Error(`clamd answers ${printable(reply)} to VERSION`));
    const complaint = await selfTest((probe) => this.scanProbe(probe));
    if (complaint !== null) throw unavailable('SCANNER_UNAVAILABLE', complaint);
    this.trust = { identity, until: performance.now() + this.options.identityMs };
    return this.trust;
  }

  private async scanProbe(probe: Buffer): Promise<Verdict> {
    const content = (async function* () {
      yield await Promise.resolve(probe);
    })();
    try {
      return await this.instream(content, probe.length, () => undefined);
    } catch (error) {
      throw error instanceof ConnectionLost ? down(error) : error;
    }
  }

  /** The answer to a command that scans nothing. @throws StowageError unavailable; the signal's reason */
  private async ask(command: 'PING' | 'VERSION', signal?: AbortSignal): Promise<string> {
    const connection = await ClamdConnection.open(this.target, this.options, signal);
    try {
      await connection.send(Buffer.from(`z${command}\0`));
      return await connection.reply(this.options.commandMs);
    } catch (error) {
      throw error instanceof ConnectionLost ? down(error) : error;
    } finally {
      connection.close();
    }
  }
}
