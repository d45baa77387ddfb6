const READY_MS = 5_000;
const PROTOCOL = 'graphql-transport-ws';

/**
 * Subscriptions over WebSocket: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 * All share one socket, which is opened for the first of them and closed after the last.
 */
export class Subscriptions {
  #url;
  #token;
  #connection = null;
  #active = new Map();
  #ids = 0;

  constructor({ url, token }) {
    this.#url = url.replace(/^http/, 'ws');
    this.#token = token;
  }

  /** Hands each value to `onData`, and is over when the subscription is, for whatever reason: then ask for yourself. */
  async subscribe(query, variables, onData, signal) {
    if (signal.aborted) return;
    const id = String(++this.#ids);
    const { promise: over, resolve: end } = Promise.withResolvers();
    this.#active.set(id, { onData, end });
    signal.addEventListener('abort', end);
    try {
      const socket = await this.#connect();
      send(socket, { id, type: 'subscribe', payload: { query, variables } });
      await over;
      send(socket, { id, type: 'complete' });
    } catch {
      // There is no socket to be had.
    } finally {
      signal.removeEventListener('abort', end);
      this.#active.delete(id);
      if (this.#active.size === 0) void this.#disconnect();
    }
  }

  #connect() {
    this.#connection ??= this.#open();
    return this.#connection;
  }

  async #disconnect() {
    const connection = this.#connection;
    this.#connection = null;
    const socket = await connection?.catch(() => undefined);
    if (socket === undefined) return;
    // Its end is no news to those who came later and have another.
    socket.onclose = null;
    socket.close(1000);
  }

  async #open() {
    const authorization = `Bearer ${await this.#token({ fresh: false })}`;
    const socket = new WebSocket(this.#url, PROTOCOL);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => socket.close(), READY_MS);
      socket.onopen = () => send(socket, { type: 'connection_init', payload: { authorization } });
      socket.onmessage = ({ data }) => {
        const { type, id, payload } = JSON.parse(data);
        if (type === 'connection_ack') {
          clearTimeout(timer);
          resolve(socket);
        } else if (type === 'ping') send(socket, { type: 'pong' });
        else if (type === 'next' && payload.data) this.#active.get(id)?.onData(payload.data);
        else if (type === 'error' || type === 'complete') this.#active.get(id)?.end();
      };
      socket.onclose = () => {
        clearTimeout(timer);
        this.#connection = null;
        for (const { end } of this.#active.values()) end();
        reject(new Error('There are no live updates'));
      };
    });
  }
}

function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}
