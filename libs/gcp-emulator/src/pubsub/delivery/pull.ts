import type { BacklogMessage } from '../store/backlog.js';
import type { RpcError } from '../errors.js';
import type { Feed } from './feed.js';
import type { Subscription } from '../store/subscriptions.js';

/** Options of {@link pull}. */
export interface PullOptions {
  readonly maxMessages: number;
  /** Milliseconds to wait for a first message; 0 returns at once. */
  readonly waitMs: number;
  /** Aborted when the caller disconnects. */
  readonly signal: AbortSignal;
}

/** Maximum bytes of one pull response. https://cloud.google.com/pubsub/quotas#resource_limits */
const MAX_BYTES = 10_000_000;

/** Leases up to `maxMessages` for the subscription's own deadline; resolves to none when none arrive in time. */
export function pull(
  feed: Feed,
  subscription: Subscription,
  { maxMessages, waitMs, signal }: PullOptions,
): Promise<readonly BacklogMessage[]> {
  return new Promise((resolve, reject) => {
    let waiting = true;
    const finish = (complete: () => void) => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      signal.removeEventListener('abort', resolveEmpty);
      leave();
      complete();
    };
    const resolveEmpty = () => finish(() => resolve([]));
    const leave = feed.join({
      leaseMs: subscription.settings.ackDeadlineSeconds * 1000,
      maxMessages,
      maxBytes: MAX_BYTES,
      ready: () => waiting,
      deliver: (batch) => finish(() => resolve(batch)),
      end: (error: RpcError) => finish(() => reject(error)),
    });
    const timer = waitMs > 0 ? setTimeout(resolveEmpty, waitMs) : undefined;
    signal.addEventListener('abort', resolveEmpty);
    if (waitMs === 0) void feed.wake().then(resolveEmpty);
  });
}
