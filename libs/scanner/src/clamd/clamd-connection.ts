import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** All in milliseconds. */
export interface ClamdTimeouts {
  readonly connectMs: number;
  /** How long it may leave bytes that are sent to it where they are. */
  readonly idleMs: number;
}

/** There is no whole answer, and will be none. */
export class ConnectionLost extends Error {
  constructor(
    why: string,
    /** What came of an answer. */
    readonly received: string,
    cause?: unknown,
  ) {
    super(why, { cause });
    this.name = 'ConnectionLost';
  }
}

/** Names of signatures are short; whoever sends more is not clamd. */
const MAX_REPLY_BYTES = 4096;

/**
 * One connection for one command, in clamd's `z` form: what ends with NUL is an answer, what ends otherwise is none
 * (clamd(8), "COMMANDS"). An answer can come before everything was sent.
 */
export class ClamdConnection {
  /** When it stands, or is over. */
  static async open(
    target: NetConnectOpts,
    timeouts: ClamdTimeouts,
    signal?: AbortSignal,
  ): Promise<ClamdConnection> {
    const connection = new ClamdConnection(target, timeouts, signal);
    await connection.step(timeouts.connectMs, 'clamd could not be reached', (done) =>
      connection.socket.once('connect', done),
    );
    return connection;
  }

  private readonly socket: Socket;
  private readonly answer = Promise.withResolvers<string>();
  private received = '';
  private endStep: () => void = () => undefined;
  private readonly abort = () => this.end(() => this.answer.reject(this.signal?.reason));
  /** Whether sending more is of no use: it answered, or is lost. */
  isOver = false;

  private constructor(
    target: NetConnectOpts,
    private readonly timeouts: ClamdTimeouts,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.answer.promise.catch(() => undefined);
    this.socket = connect({ ...target, noDelay: true })
      .on('data', (chunk: Buffer) => this.receive(chunk))
      .on('error', (error) => this.lose(`The connection to clamd broke: ${error.message}`, error))
      .on('close', () => this.lose('clamd closed the connection without an answer'));
    signal?.addEventListener('abort', this.abort, { once: true });
    if (signal?.aborted) this.abort();
  }

  /** When the kernel has all of it, so that the memory is free again, or when the connection is over. */
  async send(...parts: readonly Buffer[]): Promise<void> {
    if (this.isOver) return;
    await this.step(this.timeouts.idleMs, 'clamd took no bytes', (done) => {
      this.socket.cork();
      parts.forEach((part, i) => this.socket.write(part, i === parts.length - 1 ? done : undefined));
      this.socket.uncork();
    });
  }

  /** The answer, which may be here already. @throws ConnectionLost, or the signal's reason */
  async reply(timeoutMs: number): Promise<string> {
    const stop = this.limit(timeoutMs, 'clamd did not answer');
    try {
      return await this.answer.promise;
    } finally {
      stop();
    }
  }

  /** At once: no memory of the caller is read from then on. */
  close(): void {
    this.lose('The connection is not wanted any more');
    this.signal?.removeEventListener('abort', this.abort);
  }

  /** Ends with what it begins, with the connection, or with the connection's loss when it takes too long. */
  private async step(timeoutMs: number, late: string, begin: (done: () => void) => void): Promise<void> {
    if (this.isOver) return;
    const stop = this.limit(timeoutMs, late);
    await new Promise<void>((resolve) => {
      this.endStep = resolve;
      begin(resolve);
    });
    stop();
  }

  private limit(timeoutMs: number, late: string): () => void {
    let isMeant = true;
    const timer = setTimeout(() => {
      // After this process stood still, timers run before the bytes that have been waiting for it.
      setImmediate(() => {
        if (isMeant) this.lose(`${late} within ${timeoutMs} ms`);
      });
    }, timeoutMs);
    return () => {
      isMeant = false;
      clearTimeout(timer);
    };
  }

  private receive(chunk: Buffer): void {
    if (this.isOver) return;
    this.received += chunk.toString('latin1');
    const end = this.received.indexOf('\0');
    if (end > MAX_REPLY_BYTES || (end < 0 && this.received.length > MAX_REPLY_BYTES)) {
      this.lose('What came is too long for an answer of clamd');
    } else if (end >= 0) {
      this.end(() => this.answer.resolve(this.received.slice(0, end)));
    }
  }

  private lose(why: string, cause?: unknown): void {
    this.end(() => this.answer.reject(new ConnectionLost(why, this.received, cause)));
  }

  private end(settle: () => void): void {
    if (this.isOver) return;
    this.isOver = true;
    this.socket.destroy();
    settle();
    this.endStep();
  }
}
