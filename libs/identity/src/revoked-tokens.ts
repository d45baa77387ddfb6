const MAX_OWNERS = 100_000;

/**
 * The owners whose tokens were revoked, each with the instant before which they were issued, as epoch milliseconds. Beyond
 * the maximum, the owners with the earliest instants are dropped: their tokens are the first to expire.
 */
export class RevokedTokens {
  private readonly instants = new Map<bigint, number>();
  /** Latest instant of a dropped owner. A token issued at or after it needs no other source. */
  private dropped = -Infinity;

  constructor(private readonly maxOwners = MAX_OWNERS) {}

  get size(): number {
    return this.instants.size;
  }

  /** Records a revocation. An earlier instant than the recorded one changes nothing. */
  add(ownerId: bigint, before: number): void {
    if (before <= (this.instants.get(ownerId) ?? -Infinity)) return;
    this.instants.set(ownerId, before);
    if (this.instants.size > this.maxOwners) this.drop();
  }

  /**
   * Whether a token was revoked; `unknown` if its owner may have been dropped.
   * @param issuedAt epoch milliseconds; undefined counts as older than every instant
   */
  isRevoked(ownerId: bigint, issuedAt = -Infinity): boolean | 'unknown' {
    const before = this.instants.get(ownerId);
    if (before !== undefined) return issuedAt < before;
    return issuedAt < this.dropped ? 'unknown' : false;
  }

  /** Drops a tenth, so that the sort is rare. */
  private drop(): void {
    const earliest = [...this.instants]
      .sort(([, a], [, b]) => a - b)
      .slice(0, Math.ceil(this.maxOwners / 10));
    for (const [ownerId, before] of earliest) {
      this.instants.delete(ownerId);
      this.dropped = Math.max(this.dropped, before);
    }
  }
}
