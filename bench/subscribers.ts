import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Stack } from './stack.ts';

const SUBSCRIPTIONS_PER_SOCKET = 100;
const OPEN_MS = 120_000;
const QUERY = 'subscription ($id: ID!) { assetChanged(id: $id) { id status } }';

/** Sockets of one owner with a hundred subscriptions each, which receive the first state and no changes. */
export class Subscribers implements Disposable {
  private readonly sockets: WebSocket[] = [];

  /** Opens `count` subscriptions and waits until each has received its first state. */
  async open(stack: Stack, token: string, ids: readonly string[], count: number): Promise<void> {
    for (let left = count; left > 0; left -= SUBSCRIPTIONS_PER_SOCKET)
      await this.join(stack, token, ids, Math.min(left, SUBSCRIPTIONS_PER_SOCKET));
  }

  [Symbol.dispose](): void {
    for (const socket of this.sockets) socket.terminate();
  }

  private async join(stack: Stack, token: string, ids: readonly string[], count: number): Promise<void> {
    const url = `${stack.apiOrigin.replace(/^http/, 'ws')}/graphql`;
    const socket = new WebSocket(url, 'graphql-transport-ws');
    this.sockets.push(socket);
    await once(socket, 'open');
    const say = (message: object) => socket.send(JSON.stringify(message));
    say({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
    let states = 0;
    await new Promise<void>((resolve, reject) => {
      const tooLate = setTimeout(() => reject(new Error('not all subscriptions opened')), OPEN_MS);
      const fail = (why: string) => reject(new Error(`a subscription failed: ${why}`));
      socket.on('close', (code) => fail(`the socket ended with ${code}`));
      socket.on('message', (data: Buffer) => {
        const { type } = JSON.parse(data.toString()) as { type: string };
        if (type === 'error' || type === 'complete') fail(data.toString());
        if (type === 'connection_ack') {
          for (let id = 0; id < count; id++) {
            const variables = { id: ids[id % ids.length] };
            say({ type: 'subscribe', id: String(id), payload: { query: QUERY, variables } });
          }
        }
        if (type !== 'next' || ++states < count) return;
        clearTimeout(tooLate);
        resolve();
      });
    });
  }
}
