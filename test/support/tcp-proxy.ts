import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export interface HoldOptions {
  /** Texts that a client sends one after another on one connection; the last one is in the request that is meant. */
  readonly after: readonly string[];
  /** `request`: it never reaches the server. `answer`: the server has done it, and the client never learns. */
  readonly what: 'request' | 'answer';
  /** How many that fit pass before it, on whatever connections. */
  readonly passing?: number;
}

/** One request that is kept back, the first that fits. */
export interface Hold {
  readonly isHolding: boolean;
  /** When it is being held. An answer is, once its first bytes came. */
  readonly held: Promise<void>;
  /** Lets it pass, or the next one that would have been held. */
  release(): void;
}

/** Finds texts one after another in a stream, also where one lies across two chunks. */
class Sequence {
  private at = 0;
  private tail = '';

  constructor(private readonly texts: readonly string[]) {}

  /** True once the last one came. */
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

  /** Whether this chunk of the link's client makes it the one that is held. */
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

/** A client's connection and the one to the server that belongs to it. */
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

  /** What is being held is lost with it. */
  end(): void {
    this.client.destroy();
    this.server.destroy();
  }

  stand(): void {
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

/** Stands between a client and a server on loopback, and can do to their connections what networks do. */
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

  /** The same URL, by way of this proxy. */
  urlOf(url: string): string {
    const changed = new URL(url);
    changed.hostname = '127.0.0.1';
    changed.port = String(this.port);
    return changed.href;
  }

  /** Keeps back the next request, or the answer to it, that fits. */
  hold(options: HoldOptions): Hold {
    const hold = new PendingHold(options);
    this.holds.add(hold);
    return hold;
  }

  /** Ends every connection; new ones pass. */
  cut(): void {
    for (const link of this.links) link.end();
    this.links.clear();
  }

  /** Ends every connection, and holds nothing more. */
  forget(): void {
    this.cut();
    for (const hold of this.holds) hold.release();
    this.holds.clear();
  }

  /** Ends every connection and takes no new ones, until `pass`. */
  async refuse(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    const closed = server === undefined ? undefined : once(server, 'close');
    server?.close();
    this.cut();
    await closed;
  }

  /** Connections stay and new ones are taken, and no byte moves, until `pass`. */
  blackHole(): void {
    this.isSilent = true;
    for (const link of this.links) link.stand();
  }

  /** As a network should be. Connections of a silent time are ended: nobody knows what became of their bytes. */
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
    if (this.isSilent) link.stand();
  }
}
