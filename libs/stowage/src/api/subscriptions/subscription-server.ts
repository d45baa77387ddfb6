import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { GraphQLSchema } from 'graphql';
import { CloseCode, handleProtocols, makeServer, MessageType, parseMessage } from 'graphql-ws';
import { PinoLogger } from 'nestjs-pino';
import { type WebSocket, WebSocketServer } from 'ws';
import { SubscriptionRateLimiter } from '#libs/assets/graphql';
import { IdentityService } from '#libs/identity';
import { type AdmissionCheck, MetricGauge } from '#libs/runtime';
import { admissionOf } from '../admission.js';
import { HttpConfig } from '../http.config.js';
import { type Connection, OwnerSockets } from './owner-sockets.js';
import { subscriptionProtocol } from './subscription-protocol.js';

const PATH = '/graphql';
/** Large enough for an operation with a hundred ids, which has about five thousand bytes. */
const MAX_MESSAGE_BYTES = 128 * 1024;
/** The server stops reading a socket with more than this number of messages that wait for the rate limiter. */
const MAX_PENDING = 16;
/** The server stops reading from a peer that leaves more than this number of sent bytes unread. */
const MAX_UNSENT_BYTES = 1024 * 1024;
/** Limit of a control frame (https://www.rfc-editor.org/rfc/rfc6455#section-5.5) minus two bytes for the close code. */
const MAX_REASON_BYTES = 123;
const CLIENT_MESSAGES: ReadonlySet<MessageType> = new Set([
  MessageType.ConnectionInit,
  MessageType.Ping,
  MessageType.Pong,
  MessageType.Subscribe,
  MessageType.Complete,
]);
/** Interval of pings. A peer that does not answer before the next ping is disconnected. */
const PING_MS = 15_000;
const GOING_AWAY = 1001;
/** Time for clients to close their sockets during a shutdown; the server then terminates the rest. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Serves subscriptions over WebSocket at the path of the GraphQL endpoint. */
@Injectable()
export class SubscriptionServer implements OnApplicationBootstrap {
  /** Set before the first operation. */
  schema: GraphQLSchema;
  private readonly sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols,
  });
  /** Decides which upgrades are accepted. */
  private readonly admission: AdmissionCheck;
  private readonly protocol: ReturnType<typeof makeServer<Record<string, unknown>, Connection>>;
  /** Sockets with a message or a pong since the last ping. */
  private readonly alive = new WeakSet<WebSocket>();
  private pinging: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(
    private readonly adapter: HttpAdapterHost,
    identity: IdentityService,
    private readonly rateLimiter: SubscriptionRateLimiter,
    private readonly logger: PinoLogger,
    private readonly owners: OwnerSockets,
    http: HttpConfig,
  ) {
    logger.setContext(SubscriptionServer.name);
    this.admission = admissionOf(http);
    this.protocol = makeServer(
      subscriptionProtocol({
        schema: () => this.schema,
        identity,
        sockets: owners,
        logger,
      }),
    );
  }

  onApplicationBootstrap(): void {
    const server = this.adapter.httpAdapter.getHttpServer() as Server;
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined);
      const isGraphQLPath = request.url?.split('?', 1)[0] === PATH;
      if (this.admission(request) !== null) refuse(socket, '403 Forbidden');
      else if (!isGraphQLPath) refuse(socket, '404 Not Found');
      else if (this.stopping) refuse(socket, '503 Service Unavailable');
      else this.sockets.handleUpgrade(request, socket, head, (opened) => this.open(opened));
    });
    this.pinging = setInterval(() => this.ping(), PING_MS);
  }

  /**
   * Closes all sockets. Clients reconnect to another process and get the current state first. Apollo calls this method
   * when it drains, before Nest's own shutdown hooks, since draining waits for all connections.
   */
  async close(): Promise<void> {
    this.stopping = true;
    clearInterval(this.pinging);
    for (const socket of this.sockets.clients) socket.close(GOING_AWAY, 'Going away');
    for (const end = Date.now() + CLOSE_TIMEOUT_MS; this.sockets.clients.size > 0 && Date.now() < end;)
      await delay(20);
    for (const socket of this.sockets.clients) socket.terminate();
  }

  @MetricGauge('stowage_subscription_sockets', 'Number of open subscription sockets')
  countSockets(): number {
    return this.sockets.clients.size;
  }

  @MetricGauge(
    'stowage_subscription_waiting',
    'Number of messages from subscribers and states for subscribers that wait for the rate limit of their owner',
  )
  countWaiting(): number {
    return this.rateLimiter.waiting;
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
        onMessage: (take) =>
          socket.on('message', (data: Buffer) => void this.receive(connection, data.toString(), take)),
      },
      connection,
    );
    socket.once('close', (code, reason) => {
      this.owners.leave(connection);
      closed(code, reason.toString()).catch((err: unknown) =>
        this.logger.error({ err }, 'socket close failed'),
      );
    });
  }

  private async receive(
    connection: Connection,
    text: string,
    take: (text: string) => Promise<void>,
  ): Promise<void> {
    const { socket, ownerId } = connection;
    connection.pending++;
    applyBackpressure(connection);
    if (ownerId !== undefined) await this.rateLimiter.take(ownerId);
    // The context ends with the message, so that fields that an operation assigns to its logger do not leak into later
    // ones.
    this.logger.runInContext(() => this.handle(socket, text, take));
    connection.pending--;
    applyBackpressure(connection);
  }

  private handle(socket: WebSocket, text: string, take: (text: string) => Promise<void>): void {
    // Messages can still arrive after the server has closed the socket; they are dropped.
    if (socket.readyState !== socket.OPEN) return;
    // A paused socket delivers no pongs, so a handled message counts as an answer to the ping.
    this.alive.add(socket);
    if (!isFromClient(text)) return socket.close(CloseCode.BadRequest, 'Invalid message received');
    take(text).catch((err: unknown) => {
      this.logger.error({ err }, 'socket message failed');
      socket.close(1011, 'Internal error');
    });
  }

  /**
   * Sends a text and returns when it has left the send buffer of this process, so that a slow reader skips states
   * instead of filling a queue. A peer that requests much and reads nothing is not read either: it answers no pings and
   * is disconnected.
   */
  private send(connection: Connection, text: string): Promise<void> {
    const { socket } = connection;
    return new Promise((resolve) => {
      if (socket.readyState !== socket.OPEN) return resolve();
      socket.send(text, () => {
        applyBackpressure(connection);
        resolve();
      });
      applyBackpressure(connection);
      this.owners.enforceUnsentLimit(connection);
    });
  }

  private ping(): void {
    for (const socket of this.sockets.clients) {
      if (this.alive.delete(socket)) socket.ping();
      else socket.terminate();
    }
  }
}

/** Rejects well-formed messages that only a server sends: graphql-ws throws at them, and clients could flood the log. */
function isFromClient(text: string): boolean {
  try {
    return CLIENT_MESSAGES.has(parseMessage(text).type);
  } catch {
    return false;
  }
}

/** Shortens a close reason, which may contain client input: ws throws if it is too long. */
const shortened = (reason: string) => {
  const { read } = new TextEncoder().encodeInto(reason, new Uint8Array(MAX_REASON_BYTES));
  return reason.slice(0, read);
};

/** Pauses a socket while too many sent bytes are unread or too many received messages wait. */
function applyBackpressure({ socket, pending }: Connection): void {
  if (socket.bufferedAmount > MAX_UNSENT_BYTES || pending > MAX_PENDING) socket.pause();
  else if (socket.isPaused) socket.resume();
}

const refuse = (socket: Duplex, status: string) =>
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
