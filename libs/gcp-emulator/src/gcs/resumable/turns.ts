import { ApiError } from '../http/errors.js';

interface Turn {
  interrupt: () => void;
  started: boolean;
  superseded: boolean;
  done: Promise<void>;
}

/**
 * A lock for each id, where the latest request wins: a new request interrupts the running one and waits until it has
 * ended. A waiting request that is overtaken by a newer one is rejected.
 */
export class Turns {
  private readonly latest = new Map<string, Turn>();

  /**
   * Runs `work` alone for this id.
   * @param interrupt called when a later request wants the lock while `work` runs
   * @throws {ApiError} superseded when a later request arrived before `work` began
   */
  async take<T>(id: string, interrupt: () => void, work: () => Promise<T>): Promise<T> {
    const previous = this.latest.get(id);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const turn: Turn = { interrupt, started: false, superseded: false, done };
    this.latest.set(id, turn);
    if (previous) {
      previous.superseded = true;
      if (previous.started) previous.interrupt();
      await previous.done;
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
