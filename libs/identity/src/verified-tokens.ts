import { hash } from 'node:crypto';
import type { Claims } from './token-verifier.js';

interface Entry {
  readonly claims: Claims;
  /** Expiry of the entry, epoch milliseconds. */
  readonly until: number;
}

const MAX_ENTRIES = 10_000;
/** A token of a revoked key stays valid for this long after the key set has dropped the key. */
const MAX_AGE_MS = 60_000;

/**
 * Cache of the claims of recently verified tokens, since a client sends the same token with each request. An entry
 * lives for at most a minute and never past its token's expiry. The cache stores digests of tokens instead of tokens,
 * and evicts the oldest entry beyond its limit.
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

  /** @param expiresAt expiry of the token, epoch milliseconds */
  add(token: string, claims: Claims, expiresAt: number, now: number): void {
    const digest = digestOf(token);
    // A new insertion moves the entry to the end of the map, which is ordered by age.
    this.entries.delete(digest);
    this.entries.set(digest, { claims, until: Math.min(expiresAt, now + MAX_AGE_MS) });
    if (this.entries.size > this.maxEntries) this.entries.delete(this.entries.keys().next().value!);
  }
}

const digestOf = (token: string) => hash('sha256', token, 'base64');
