import type { BacklogMessage } from '../store/backlog.js';
import type { RpcError } from '../errors.js';
import type { Feed } from './feed.js';
import type { Subscription } from '../store/subscriptions.js';

export interface PullOptions {
  readonly maxMessages: number;
  /** How long to wait for a first message; 0 answers at once. */
  readonly waitMs: number;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

/** What a pull may carry. https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_BYTES = 10_000_000;

/** Takes up to `maxMessages` for the subscription's own deadline, or none when none come in time. */
export function pull(
  feed: Feed,
  subscription: Subscription,
  { maxMessages, waitMs, signal }: PullOptions,
): Promise<readonly BacklogMessage[]> {
  return new Promise((resolve, reject) => {
    let waiting = true;
    const finish = (settle: () => void) => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      leave();
      settle();
    };
    const giveUp = () => finish(() => resolve([]));
    const leave = feed.join({
      leaseMs: subscription.settings.ackDeadlineSeconds * 1000,
      maxMessages,
      maxBytes: MAX_BYTES,
      ready: () => waiting,
      deliver: (batch) => finish(() => resolve(batch)),
      end: (error: RpcError) => finish(() => reject(error)),
    });
    const timer = waitMs > 0 ? setTimeout(giveUp, waitMs) : undefined;
    signal.addEventListener('abort', giveUp);
    if (waitMs === 0) void feed.wake().then(giveUp);
  });
}
