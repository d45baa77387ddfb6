import { setTimeout as delay } from 'node:timers/promises';
import type { EventFault, FaultRule, RequestFault } from './rule.js';

/** Makes things go wrong, on purpose. */
export interface FaultControl {
  /** Returns the rule's id. Of several rules that match, the one added first strikes. */
  add(rule: FaultRule): string;
  /** Every rule, and how often it has struck. */
  list(): ActiveRule[];
  /** Lets go at once of all that is being delayed or held back just now. */
  release(): void;
  /** Removes all rules, and releases. */
  clear(): void;
}

export type ActiveRule = FaultRule & { id: string; hits: number };

/** What a rule can be matched with. */
export interface Target {
  method?: string;
  api?: 'xml' | 'json';
  bucket: string;
  key: string;
}

interface Entry {
  rule: ActiveRule;
  random: () => number;
}

/** A generator whose numbers depend on nothing but its seed: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

function matches({ match = {} }: FaultRule, { method, api, bucket, key }: Target): boolean {
  if (match.method !== undefined && match.method.toUpperCase() !== method) return false;
  if (match.api !== undefined && match.api !== api) return false;
  if (match.bucket !== undefined && match.bucket !== bucket) return false;
  return key.startsWith(match.keyPrefix ?? '');
}

const isOfEvents = (action: RequestFault | EventFault): action is EventFault => 'events' in action;

/** The rules in force, and what they hold back. */
export class Faults implements FaultControl {
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Set<() => void>();
  private holding = new AbortController();
  private lastId = 0;

  add(rule: FaultRule): string {
    const id = rule.id ?? `fault-${++this.lastId}`;
    this.entries.set(id, { rule: { ...rule, id, hits: 0 }, random: mulberry32(rule.seed ?? 0) });
    return id;
  }

  list(): ActiveRule[] {
    return [...this.entries.values()].map(({ rule }) => ({ ...rule }));
  }

  release(): void {
    this.holding.abort();
    this.holding = new AbortController();
    for (const listener of this.listeners) listener();
  }

  clear(): void {
    this.entries.clear();
    this.release();
  }

  /** For what is held back by other means than `pause`. */
  onRelease(listener: () => void): void {
    this.listeners.add(listener);
  }

  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  /** What is to become of this request. Each call counts. */
  ofRequest(target: Target): RequestFault | undefined {
    const action = this.strike(target, (candidate) => !isOfEvents(candidate));
    return action && !isOfEvents(action) ? action : undefined;
  }

  ofEvent(target: Target): EventFault | undefined {
    const action = this.strike(target, isOfEvents);
    return action && isOfEvents(action) ? action : undefined;
  }

  private strike(
    target: Target,
    isMeant: (action: FaultRule['action']) => boolean,
  ): FaultRule['action'] | undefined {
    for (const { rule, random } of this.entries.values()) {
      const { action, times = Infinity, probability = 1 } = rule;
      if (!isMeant(action) || rule.hits >= times || !matches(rule, target)) continue;
      if (random() >= probability) continue;
      rule.hits++;
      return action;
    }
    return undefined;
  }

  /** A way to wait that ends when faults are released, and from then on takes no time. */
  pause(): (ms: number) => Promise<void> {
    const { signal } = this.holding;
    return async (ms) => {
      // To be released is not an error.
      if (!signal.aborted) await delay(ms, undefined, { signal }).catch(() => undefined);
    };
  }
}
