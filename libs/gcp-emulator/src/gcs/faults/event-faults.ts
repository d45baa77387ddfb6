import type { OutboxEntry } from '../store/outbox.js';
import type { Faults } from './faults.js';

/** How many times to publish an entry now; `held` leaves it in the outbox. */
export type Verdict = 0 | 1 | 2 | 'held';

interface Held {
  topic: string;
  /** Held until a later event of its topic is published. */
  reordered: boolean;
}

/**
 * Applies the fault rules to events. A held entry stays in the outbox, so a restart does not lose it: after the
 * restart there are no rules, and the entry is published.
 */
export class EventFaults {
  /** Ids of events that got a fault. Each event gets at most one, however often its publishing is retried. */
  private readonly judged = new Set<number>();
  private readonly held = new Map<number, Held>();

  constructor(
    private readonly faults: Faults,
    /** Called when a held entry can be published. */
    private readonly wake: () => void,
  ) {
    faults.onRelease(() => this.releaseHeld(() => true));
  }

  /** Ids of entries that must not be published yet. */
  get heldIds(): number[] {
    return [...this.held.keys()];
  }

  /** Decides how often to publish an entry now. Counts a hit of the rule that matches. */
  judge({ id, topic, attributes }: OutboxEntry): Verdict {
    if (this.faults.isEmpty || this.judged.has(id)) return 1;
    const { bucketId = '', objectId = '' } = attributes;
    const fault = this.faults.ofEvent({ bucket: bucketId, key: objectId });
    if (fault === undefined) return 1;
    this.judged.add(id);
    if (fault.events === 'lose') return 0;
    if (fault.events === 'double') return 2;
    this.held.set(id, { topic, reordered: fault.events === 'reorder' });
    if (fault.events === 'delay' && fault.delayMs !== undefined) {
      void this.faults
        .pause()(fault.delayMs)
        .then(() => this.releaseHeld((other) => other === id));
    }
    return 'held';
  }

  /** Releases held entries that were reordered behind one of the published entries. */
  published(entries: readonly OutboxEntry[]): void {
    for (const { id } of entries) this.judged.delete(id);
    this.releaseHeld(
      (id, { topic, reordered }) => reordered && entries.some((e) => e.topic === topic && e.id > id),
    );
  }

  private releaseHeld(shouldRelease: (id: number, held: Held) => boolean): void {
    const released = [...this.held].filter(([id, held]) => shouldRelease(id, held));
    for (const [id] of released) this.held.delete(id);
    if (released.length > 0) this.wake();
  }
}
