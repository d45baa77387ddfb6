import { ApiError } from '../http/errors.js';

interface Turn {
  interrupt: () => void;
  started: boolean;
  superseded: boolean;
  done: Promise<void>;
}

/**
 * One at a time for each id, and the latest wins: whoever comes has the one before interrupted and waits until it is out of the way.
 * Whoever waits while another comes is refused.
 */
export class Turns {
  private readonly latest = new Map<string, Turn>();

  async take<T>(id: string, interrupt: () => void, work: () => Promise<T>): Promise<T> {
    const before = this.latest.get(id);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const turn: Turn = { interrupt, started: false, superseded: false, done };
    this.latest.set(id, turn);
    if (before) {
      before.superseded = true;
      if (before.started) before.interrupt();
      await before.done;
    }
    try {
      if (turn.superseded) throw new ApiError('superseded');
      turn.started = true;
      return await work();
    } finally {
      resolve();
      if (this.latest.get(id) === turn) this.latest.delete(id);
    }
  }
}
