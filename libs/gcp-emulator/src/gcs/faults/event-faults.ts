import type { OutboxEntry } from '../store/outbox.js';
import type { Faults } from './faults.js';

/** How many times to publish an entry now, or that it stays where it is for the time being. */
export type Verdict = 0 | 1 | 2 | 'held';

interface Held {
  topic: string;
  /** Waits for a later event of its topic. */
  reordered: boolean;
}

/**
 * What the rules say about events. An entry that is held back stays in the outbox, so that not even a restart loses it: the faults
 * are gone then, and it is published.
 */
export class EventFaults {
  /** Each event is struck at most once, however often it is tried. */
  private readonly judged = new Set<number>();
  private readonly held = new Map<number, Held>();

  constructor(
    private readonly faults: Faults,
    /** Called when something that was held can be published. */
    private readonly wake: () => void,
  ) {
    faults.onRelease(() => this.letGo(() => true));
  }

  /** Ids of entries that are to be left alone. */
  get heldIds(): number[] {
    return [...this.held.keys()];
  }

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
        .then(() => this.letGo((other) => other === id));
    }
    return 'held';
  }

  /** Now that entries were published, those may follow that were to come after them. */
  published(entries: readonly OutboxEntry[]): void {
    for (const { id } of entries) this.judged.delete(id);
    this.letGo(
      (id, { topic, reordered }) => reordered && entries.some((e) => e.topic === topic && e.id > id),
    );
  }

  private letGo(isMeant: (id: number, held: Held) => boolean): void {
    const free = [...this.held].filter(([id, held]) => isMeant(id, held));
    for (const [id] of free) this.held.delete(id);
    if (free.length > 0) this.wake();
  }
}
