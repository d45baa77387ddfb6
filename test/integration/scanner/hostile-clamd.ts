import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { EICAR } from '../../../libs/scanner/src/eicar.js';

export interface Behaviour {
  /** Replaces the answer to PING and VERSION. */
  readonly onCommand?: (socket: Socket, command: string) => void;
  /** Called when the first bytes of a content are received. */
  readonly onStart?: (socket: Socket) => void;
  /** Called when a content is complete; the default answers `stream: OK`. */
  readonly onEnd?: (socket: Socket, content: Buffer) => void;
  /** Replaces the answers that a self test expects. */
  readonly onProbe?: (socket: Socket, content: Buffer) => void;
}

/** A server that speaks the protocol of clamd and misbehaves as a test specifies. */
export class HostileClamd implements AsyncDisposable {
  static async start(behaviour: Behaviour = {}): Promise<HostileClamd> {
    const clamd = new HostileClamd(behaviour);
    await once(clamd.server.listen(0, '127.0.0.1'), 'listening');
    return clamd;
  }

  readonly sockets = new Set<Socket>();
  /** Complete contents, without those of self tests. */
  readonly contents: Buffer[] = [];
  version = 'ClamAV 1.4.6/27850/Fri Nov 20 08:20:00 2026';
  commands = 0;
  private readonly server: Server;

  private constructor(public behaviour: Behaviour) {
    this.server = createServer((socket) => this.accept(socket));
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private accept(socket: Socket): void {
    let bytes = Buffer.alloc(0);
    let isStarted = false;
    this.sockets.add(socket);
    socket
      .on('error', () => undefined)
      .on('close', () => this.sockets.delete(socket))
      .on('data', (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        const end = bytes.indexOf(0);
        if (end < 0) return;
        const command = bytes.toString('latin1', 1, end);
        if (command !== 'INSTREAM') return this.command(socket, command);
        const { content, isWhole } = unchunked(bytes.subarray(end + 1));
        if (content.length === 0 && !isWhole) return;
        const isProbe = content.equals(EICAR) || content.subarray(0, 2).toString() === 'PK';
        if (!isStarted && !isProbe) this.behaviour.onStart?.(socket);
        isStarted = true;
        if (isWhole) this.end(socket, content, isProbe);
      });
  }

  private command(socket: Socket, command: string): void {
    this.commands += 1;
    const { onCommand = () => socket.end(command === 'PING' ? 'PONG\0' : `${this.version}\0`) } =
      this.behaviour;
    onCommand(socket, command);
  }

  private end(socket: Socket, content: Buffer, isProbe: boolean): void {
    const {
      onEnd = () => socket.end('stream: OK\0'),
      onProbe = () => {
        const name = content.equals(EICAR) ? 'Eicar-Signature' : 'Heuristics.Limits.Exceeded.MaxRecursion';
        socket.end(`stream: ${name} FOUND\0`);
      },
    } = this.behaviour;
    if (isProbe) return onProbe(socket, content);
    this.contents.push(content);
    onEnd(socket, content);
  }
}

function unchunked(bytes: Buffer): { content: Buffer; isWhole: boolean } {
  const chunks: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt32BE(at);
    if (length === 0) return { content: Buffer.concat(chunks), isWhole: true };
    if (at + 4 + length > bytes.length) break;
    chunks.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return { content: Buffer.concat(chunks), isWhole: false };
}
