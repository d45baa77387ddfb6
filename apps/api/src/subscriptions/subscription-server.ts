import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef } from '@nestjs/core';
import { GraphQLSchemaHost } from '@nestjs/graphql';
import { CloseCode, handleProtocols, makeServer, MessageType, parseMessage } from 'graphql-ws';
import { PinoLogger } from 'nestjs-pino';
import { Gauge, Registry } from 'prom-client';
import { type WebSocket, WebSocketServer } from 'ws';
import type { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { logErrors } from '#libs/graphql';
import { IdentityService } from '#libs/identity';
import type { AdmissionCheck } from '#libs/runtime';
import { type Connection, type OwnerLimits, OwnerSockets } from './owner-sockets.js';
import { subscriptionProtocol } from './subscription-protocol.js';

export interface SubscriptionOptions {
  /** Decides which upgrades are served. */
  readonly admission: AdmissionCheck;
  readonly perOwner: OwnerLimits;
  /** Of each owner, for what comes from their sockets. */
  readonly turns: SubscriptionRateLimiter;
}

export const SUBSCRIPTION_OPTIONS = Symbol('SUBSCRIPTION_OPTIONS');

const PATH = '/graphql';
/** An operation with a hundred ids has five thousand. */
const MAX_MESSAGE_BYTES = 128 * 1024;
/** A socket of which so many messages wait for their owner's turn is listened to no more until they were handled. */
const MAX_PENDING = 16;
/** A peer that leaves so much of what it is sent lying is listened to no more until it has taken it. */
const MAX_UNSENT_BYTES = 1024 * 1024;
/** https://www.rfc-editor.org/rfc/rfc6455#section-5.5 less the code. */
const MAX_REASON_BYTES = 123;
const FROM_CLIENTS: ReadonlySet<MessageType> = new Set([
  MessageType.ConnectionInit,
  MessageType.Ping,
  MessageType.Pong,
  MessageType.Subscribe,
  MessageType.Complete,
]);
/** A peer that does not answer a ping until the next is gone. */
const PING_MS = 15_000;
const GOING_AWAY = 1001;
/** When stopping, who has not closed by then is cut off. */
const LAST_WORDS_MS = 2_000;

/** Subscriptions over WebSocket, at the path of the GraphQL endpoint. */
@Injectable()
export class SubscriptionServer implements OnApplicationBootstrap {
  private readonly sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    clientTracking: true,
    handleProtocols: (protocols) => handleProtocols(protocols),
  });
  private readonly owners: OwnerSockets;
  private readonly protocol: ReturnType<typeof makeServer<Record<string, unknown>, Connection>>;
  /** Those that answered since they were last asked. */
  private readonly alive = new WeakSet<WebSocket>();
  private pinging: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(
    private readonly adapter: HttpAdapterHost,
    private readonly modules: ModuleRef,
    private readonly identity: IdentityService,
    @Inject(SUBSCRIPTION_OPTIONS) private readonly options: SubscriptionOptions,
    private readonly logger: PinoLogger,
    registry: Registry,
  ) {
    logger.setContext(SubscriptionServer.name);
    this.owners = new OwnerSockets(options.perOwner, registry);
    this.protocol = makeServer(
      subscriptionProtocol({
        schema: () => this.modules.get(GraphQLSchemaHost, { strict: false }).schema,
        authenticate: (headers) => this.identity.authenticate(headers),
        sockets: this.owners,
        log: (errors, reqId) => logErrors(this.logger, errors, reqId, 'subscription'),
        report: (err) => this.logger.error({ err }, 'socket not opened'),
      }),
    );
    const { clients } = this.sockets;
    const { turns } = options;
    new Gauge({
      name: 'stowage_subscription_sockets',
      help: 'Open sockets of subscribers',
      registers: [registry],
      collect() {
        this.set(clients.size);
      },
    });
    new Gauge({
      name: 'stowage_subscription_waiting',
      help: 'Messages of subscribers and states for them that wait for their owner’s turn',
      registers: [registry],
      collect() {
        this.set(turns.waiting);
      },
    });
  }

  onApplicationBootstrap(): void {
    const server = this.adapter.httpAdapter.getHttpServer() as Server;
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined);
      const isOurs = request.url?.split('?', 1)[0] === PATH;
      if (this.options.admission(request) !== null) refuse(socket, '403 Forbidden');
      else if (!isOurs) refuse(socket, '404 Not Found');
      else if (this.stopping) refuse(socket, '503 Service Unavailable');
      else this.sockets.handleUpgrade(request, socket, head, (opened) => this.open(opened));
    });
    this.pinging = setInterval(() => this.ping(), PING_MS);
  }

  /**
   * Clients open their sockets again, at another process, and get the current state first. Called when Apollo drains, which
   * waits for all connections, and comes before Nest's own hooks for this.
   */
  async close(): Promise<void> {
    this.stopping = true;
    clearInterval(this.pinging);
    for (const socket of this.sockets.clients) socket.close(GOING_AWAY, 'Going away');
    for (const end = Date.now() + LAST_WORDS_MS; this.sockets.clients.size > 0 && Date.now() < end;)
      await delay(20);
    for (const socket of this.sockets.clients) socket.terminate();
  }

  private open(socket: WebSocket): void {
    const connection: Connection = { socket, pending: 0 };
    this.alive.add(socket);
    socket.on('pong', () => this.alive.add(socket));
    socket.on('error', (err) => this.logger.debug({ err }, 'socket failed'));
    const closed = this.protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => this.send(connection, text),
        close: (code, reason = '') => socket.close(code, shortened(reason)),
        onMessage: (take) => socket.on('message', (data) => void this.hear(connection, asText(data), take)),
      },
      connection,
    );
    socket.once('close', (code, reason) => {
      this.owners.leave(connection);
      closed(code, reason.toString()).catch((err: unknown) =>
        this.logger.error({ err }, 'socket not closed'),
      );
    });
  }

  private async hear(
    connection: Connection,
    text: string,
    take: (text: string) => Promise<void>,
  ): Promise<void> {
    const { socket, ownerId } = connection;
    connection.pending++;
    regulate(connection);
    if (ownerId !== undefined) await this.options.turns.take(ownerId);
    // Whatever an operation assigns to its logger ends with it.
    this.logger.runInContext(() => this.handle(socket, text, take));
    connection.pending--;
    regulate(connection);
  }

  private handle(socket: WebSocket, text: string, take: (text: string) => Promise<void>): void {
    // What still comes after the server's goodbye is for nobody.
    if (socket.readyState !== socket.OPEN) return;
    // While messages wait, the socket is not read, and neither are its answers to pings.
    this.alive.add(socket);
    if (!isFromClient(text)) return socket.close(CloseCode.BadRequest, 'Invalid message received');
    take(text).catch((err: unknown) => {
      this.logger.error({ err }, 'message of a socket not handled');
      socket.close(1011, 'Internal error');
    });
  }

  /**
   * Returns when the peer's side has taken it: a reader who is slow is told less, and held in no queue. Nor are answers to
   * whoever asks and does not read: one who does not take them in time answers no ping either, and is cut off.
   */
  private send(connection: Connection, text: string): Promise<void> {
    const { socket } = connection;
    return new Promise((resolve) => {
      if (socket.readyState !== socket.OPEN) return resolve();
      socket.send(text, () => {
        regulate(connection);
        resolve();
      });
      regulate(connection);
      this.owners.endUnread(connection);
    });
  }

  private ping(): void {
    for (const socket of this.sockets.clients) {
      if (this.alive.delete(socket)) socket.ping();
      else socket.terminate();
    }
  }
}

const asText = (data: Buffer | ArrayBuffer | Buffer[]): string =>
  Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data as Buffer).toString();

/** graphql-ws throws at what is well-formed and only a server says; anybody could fill the log with that. */
function isFromClient(text: string): boolean {
  try {
    return FROM_CLIENTS.has(parseMessage(text).type);
  } catch {
    return false;
  }
}

/** A reason may hold what the client chose, and ws throws at one that is too long. */
const shortened = (reason: string) => {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(MAX_REASON_BYTES));
  return reason.slice(0, read);
};

/** Listens to a socket unless it has left too much of what it was sent lying, or too much of what it said waits. */
function regulate({ socket, pending }: Connection): void {
  if (socket.bufferedAmount > MAX_UNSENT_BYTES || pending > MAX_PENDING) socket.pause();
  else if (socket.isPaused) socket.resume();
}

const refuse = (socket: Duplex, status: string) =>
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
