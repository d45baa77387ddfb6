const READY_MS = 5_000;
const PROTOCOL = 'graphql-transport-ws';

/**
 * Subscriptions over WebSocket: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
 * All subscriptions share one socket, which is opened for the first and closed after the last of them.
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

  /** Passes each value to `onData`. Resolves when the subscription ends for any reason; the caller must then poll. */
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
      // The socket cannot be opened.
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
    // Its close event must not end the subscriptions of a newer socket.
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
        reject(new Error('Live updates are not available'));
      };
    });
  }
}

function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}
