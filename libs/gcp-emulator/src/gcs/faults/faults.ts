import { setTimeout as delay } from 'node:timers/promises';
import type { EventFault, FaultRule, RequestFault } from './rule.js';

/** Fault injection, for tests and development. */
export interface FaultControl {
  /** Adds a rule and returns its id. When several rules match, the one added first applies. */
  add(rule: FaultRule): string;
  /** Lists all rules, with the number of times each was applied. */
  list(): ActiveRule[];
  /** Ends all running delays and releases all held events. */
  release(): void;
  /** Removes all rules, and releases like `release`. */
  clear(): void;
}

/** A rule in force; `hits` counts how often it was applied. */
export type ActiveRule = FaultRule & { id: string; hits: number };

/** The request or event that rules are matched against. */
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

/** Pseudo-random numbers in [0, 1) from a seed: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
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

const isEventFault = (action: RequestFault | EventFault): action is EventFault => 'events' in action;

/** The rules in force, and the delays that they cause. */
export class Faults implements FaultControl {
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Set<() => void>();
  private delays = new AbortController();
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
    this.delays.abort();
    this.delays = new AbortController();
    for (const listener of this.listeners) listener();
  }

  clear(): void {
    this.entries.clear();
    this.release();
  }

  /** Registers a listener for `release`, for faults that hold something without `pause`. */
  onRelease(listener: () => void): void {
    this.listeners.add(listener);
  }

  get isEmpty(): boolean {
    return this.entries.size === 0;
  }

  /** Returns the fault for this request, if any. A match counts as a hit of the rule. */
  ofRequest(target: Target): RequestFault | undefined {
    const action = this.apply(target, (candidate) => !isEventFault(candidate));
    return action && !isEventFault(action) ? action : undefined;
  }

  /** Returns the fault for this event, if any. A match counts as a hit of the rule. */
  ofEvent(target: Target): EventFault | undefined {
    const action = this.apply(target, isEventFault);
    return action && isEventFault(action) ? action : undefined;
  }

  private apply(
    target: Target,
    isEligible: (action: FaultRule['action']) => boolean,
  ): FaultRule['action'] | undefined {
    for (const { rule, random } of this.entries.values()) {
      const { action, times = Infinity, probability = 1 } = rule;
      if (!isEligible(action) || rule.hits >= times || !matches(rule, target)) continue;
      if (random() >= probability) continue;
      rule.hits++;
      return action;
    }
    return undefined;
  }

  /** Returns a wait function. A `release` ends its current wait and makes all later ones return at once. */
  pause(): (ms: number) => Promise<void> {
    const { signal } = this.delays;
    return async (ms) => {
      // The abort only ends the wait early.
      if (!signal.aborted) await delay(ms, undefined, { signal }).catch(() => undefined);
    };
  }
}
