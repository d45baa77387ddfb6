import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** Timeouts of a connection, in milliseconds. */
export interface ClamdTimeouts {
  readonly connectMs: number;
  /** How long clamd may leave sent data unread. */
  readonly idleMs: number;
}

/** The connection ended without a complete reply. */
export class ConnectionLostError extends Error {
  constructor(
    why: string,
    /** The part of a reply received so far. */
    readonly received: string,
    cause?: unknown,
  ) {
    super(why, { cause });
    this.name = 'ConnectionLost';
  }
}

/** Signature names are short, so a longer reply does not come from clamd. */
const MAX_REPLY_BYTES = 4096;

/**
 * One connection for one command in clamd's `z` form: a reply is complete when it ends with NUL (clamd(8), "COMMANDS").
 * clamd may reply before it has received everything.
 */
export class ClamdConnection {
  /** Connects. Resolves even if the connection is lost; {@link reply} then rejects. */
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
  /** Whether sending more is useless because the reply has arrived or the connection is lost. */
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

  /** Resolves when the kernel has taken all data, so that its memory can be reused, or when the connection is over. */
  async send(...parts: readonly Buffer[]): Promise<void> {
    if (this.isOver) return;
    await this.step(this.timeouts.idleMs, 'clamd read no data', (done) => {
      this.socket.cork();
      parts.forEach((part, i) => this.socket.write(part, i === parts.length - 1 ? done : undefined));
      this.socket.uncork();
    });
  }

  /**
   * Waits up to `timeoutMs` milliseconds for the reply, which may have arrived already.
   * @throws ConnectionLost, or the signal's reason
   */
  async reply(timeoutMs: number): Promise<string> {
    const stop = this.limit(timeoutMs, 'clamd did not answer');
    try {
      return await this.answer.promise;
    } finally {
      stop();
    }
  }

  /** Closes the connection at once; afterwards the caller's buffers are no longer read. */
  [Symbol.dispose](): void {
    this.lose('The caller closed the connection');
    this.signal?.removeEventListener('abort', this.abort);
  }

  /** Runs `begin` until it calls `done`, the connection is over, or the time limit ends the connection. */
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
    let isActive = true;
    const timer = setTimeout(() => {
      // After the process was suspended, timers fire before the pending socket data is read.
      setImmediate(() => {
        if (isActive) this.lose(`${late} within ${timeoutMs} ms`);
      });
    }, timeoutMs);
    return () => {
      isActive = false;
      clearTimeout(timer);
    };
  }

  private receive(chunk: Buffer): void {
    if (this.isOver) return;
    this.received += chunk.toString('latin1');
    const end = this.received.indexOf('\0');
    if (end > MAX_REPLY_BYTES || (end < 0 && this.received.length > MAX_REPLY_BYTES)) {
      this.lose(`The reply exceeds ${MAX_REPLY_BYTES} bytes`);
    } else if (end >= 0) {
      this.end(() => this.answer.resolve(this.received.slice(0, end)));
    }
  }

  private lose(why: string, cause?: unknown): void {
    this.end(() => this.answer.reject(new ConnectionLostError(why, this.received, cause)));
  }

  private end(completeReply: () => void): void {
    if (this.isOver) return;
    this.isOver = true;
    this.socket.destroy();
    completeReply();
    this.endStep();
  }
}
