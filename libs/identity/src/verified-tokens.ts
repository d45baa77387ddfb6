import { hash } from 'node:crypto';
import type { Claims } from './token-verifier.js';

interface Entry {
  readonly claims: Claims;
  /** Milliseconds of the clock. */
  readonly until: number;
}

const MAX_ENTRIES = 10_000;
/** A key that was taken out of its set is believed for as long, on top of what the set itself is cached. */
const MAX_AGE_MS = 60_000;

/**
 * What tokens said that were verified a moment ago: a client sends the same one with each request. An entry lives for a minute at
 * most and never past its token's expiry. Tokens themselves are not kept, only their digests; of more than it may remember, the
 * oldest go.
 */
export class VerifiedTokens {
  private readonly entries = new Map<string, Entry>();

  constructor(private readonly maxEntries = MAX_ENTRIES) {}

  get size(): number {
    return this.entries.size;
  }

  find(token: string, now: number): Claims | undefined {
    const entry = this.entries.get(digestOf(token));
    return entry !== undefined && now < entry.until ? entry.claims : undefined;
  }

  /** @param expiresAt milliseconds of the clock */
  add(token: string, claims: Claims, expiresAt: number, now: number): void {
    const digest = digestOf(token);
    // Newest last.
    this.entries.delete(digest);
    this.entries.set(digest, { claims, until: Math.min(expiresAt, now + MAX_AGE_MS) });
    if (this.entries.size <= this.maxEntries) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      return;
    }
  }
}

const digestOf = (token: string) => hash('sha256', token, 'base64');
