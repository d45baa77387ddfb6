import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface HoldOptions {
  /** Texts that a client sends in this order on one connection. The last one is in the request to hold. */
  readonly after: readonly string[];
  /** `request`: the server does not receive it. `answer`: the server has executed the request, the client gets no answer. */
  readonly what: 'request' | 'answer';
  /** Number of matches that pass first, on any connections. */
  readonly passing?: number;
}

/** A hold on the first matching request or its answer. */
export interface Hold {
  readonly isHolding: boolean;
  /** Resolves when the request, or the first bytes of the answer, are held. */
  readonly held: Promise<void>;
  /** Lets the held data pass, or cancels the hold if it has not matched yet. */
  release(): void;
}

/** Finds texts in order in a stream, also across chunk boundaries. */
class Sequence {
  private at = 0;
  private tail = '';

  constructor(private readonly texts: readonly string[]) {}

  /** Returns true once the last text was found. */
  feed(chunk: Buffer): boolean {
    let rest = this.tail + chunk.toString('latin1');
    for (let text = this.texts[this.at]; text !== undefined; text = this.texts[this.at]) {
      const found = rest.indexOf(text);
      if (found < 0) {
        this.tail = rest.slice(Math.max(0, rest.length - text.length + 1));
        return false;
      }
      rest = rest.slice(found + text.length);
      this.at += 1;
    }
    return true;
  }
}

class PendingHold implements Hold {
  readonly held: Promise<void>;
  isHolding = false;
  isOver = false;
  private tell: () => void = () => undefined;
  private readonly onRelease = new Set<() => void>();
  private readonly sequences = new WeakMap<Link, Sequence>();
  private holder: Link | undefined;
  private passing: number;

  constructor(readonly options: HoldOptions) {
    this.passing = options.passing ?? 0;
    this.held = new Promise((resolve) => (this.tell = resolve));
  }

  /** Whether this chunk from the client completes the match that is to be held. */
  catches(link: Link, chunk: Buffer): boolean {
    if (this.isOver || this.holder !== undefined) return false;
    let sequence = this.sequences.get(link);
    if (sequence === undefined) this.sequences.set(link, (sequence = new Sequence(this.options.after)));
    if (!sequence.feed(chunk)) return false;
    if (this.passing > 0) {
      this.passing -= 1;
      this.sequences.delete(link);
      return false;
    }
    this.holder = link;
    return true;
  }

  holds(then: () => void): void {
    if (this.isOver) return then();
    this.onRelease.add(then);
    this.isHolding = true;
    this.tell();
  }

  release(): void {
    this.isOver = true;
    this.isHolding = false;
    for (const listener of this.onRelease) listener();
    this.onRelease.clear();
  }
}

/** A client connection and its connection to the server. */
class Link {
  private holding: PendingHold | undefined;

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    private readonly holds: ReadonlySet<PendingHold>,
  ) {
    client.setNoDelay().on('data', (chunk: Buffer) => this.ask(chunk));
    server.setNoDelay().on('data', (chunk: Buffer) => this.answer(chunk));
    for (const socket of [client, server]) socket.on('error', () => this.end()).on('close', () => this.end());
  }

  /** Closes both connections. Held data are lost. */
  end(): void {
    this.client.destroy();
    this.server.destroy();
  }

  pause(): void {
    this.client.pause();
    this.server.pause();
  }

  private ask(chunk: Buffer): void {
    for (const hold of this.holds) {
      if (!hold.catches(this, chunk)) continue;
      if (hold.options.what === 'answer') {
        this.holding = hold;
        continue;
      }
      this.client.pause();
      return hold.holds(() => this.pass(this.client, this.server, chunk));
    }
    this.server.write(chunk);
  }

  private answer(chunk: Buffer): void {
    const hold = this.holding;
    if (hold === undefined) return void this.client.write(chunk);
    this.holding = undefined;
    this.server.pause();
    hold.holds(() => this.pass(this.server, this.client, chunk));
  }

  private pass(from: Socket, to: Socket, chunk: Buffer): void {
    if (to.destroyed) return;
    to.write(chunk);
    from.resume();
  }
}

/** A proxy between clients and a server on loopback that simulates network faults. */
export class TcpProxy implements AsyncDisposable {
  /** @param target `host:port` of the server */
  static async start(target: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(`tcp://${target}`);
    const proxy = new TcpProxy(hostname, Number(port));
    await proxy.listen(0);
    return proxy;
  }

  private readonly links = new Set<Link>();
  private readonly holds = new Set<PendingHold>();
  private server: Server | undefined;
  private isSilent = false;
  port = 0;

  private constructor(
    private readonly targetHost: string,
    private readonly targetPort: number,
  ) {}

  /** Returns the URL with the address of this proxy. */
  urlOf(url: string): string {
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(this.port);
    return changed.href;
  }

  /** Holds the next request that matches, or its answer. */
  hold(options: HoldOptions): Hold {
    const hold = new PendingHold(options);
    this.holds.add(hold);
    return hold;
  }

  /** Closes all connections. New ones pass. */
  cut(): void {
    for (const link of this.links) link.end();
    this.links.clear();
  }

  /** Closes all connections and removes all holds. */
  forget(): void {
    this.cut();
    for (const hold of this.holds) hold.release();
    this.holds.clear();
  }

  /** Closes all connections and refuses new ones until {@link pass} is called. */
  async refuse(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    const closed = server === undefined ? undefined : once(server, 'close');
    server?.close();
    this.cut();
    await closed;
  }

  /** Keeps connections open and accepts new ones, but transfers no bytes until {@link pass} is called. */
  blackHole(): void {
    this.isSilent = true;
    for (const link of this.links) link.pause();
  }

  /** Ends all faults. Connections that were silent are closed, because their pending bytes are lost. */
  async pass(): Promise<void> {
    if (this.isSilent) this.cut();
    this.isSilent = false;
    if (this.server === undefined) await this.listen(this.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }

  private async listen(port: number): Promise<void> {
    const server = createServer((client) => this.accept(client)).listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  private accept(client: Socket): void {
    const link = new Link(client, connect(this.targetPort, this.targetHost), this.holds);
    this.links.add(link);
    client.once('close', () => this.links.delete(link));
    if (this.isSilent) link.pause();
  }
}
