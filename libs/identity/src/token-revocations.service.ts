import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Clock, Notifications, type TokenRevocation } from '#libs/database';
import { type Actor, invalid, kindOf } from '#libs/domain';
import { waitFor } from '#libs/runtime';
import { RevokedTokens } from './revoked-tokens.js';
import { CHANNEL, PAYLOAD, TokenRevocationsRepository } from './token-revocations.repository.js';
import { CLOCK_TOLERANCE_SECONDS, unauthenticated } from './token-verifier.js';

/** Interval of reads, which find the revocations whose notification was lost. */
const HEARTBEAT_MS = 5_000;
/** Age of the last read at which a process no longer accepts tokens without another read. */
const MAX_AGE_MS = 30_000;
/** Each read repeats this much, because a revocation becomes visible later than its `changed_at`. Far above the limit of a statement. */
const OVERLAP_MS = 60_000;
const FIRST_READ = new Date(0);

/** Whose token it is, and when it was issued. */
type Token = Pick<Actor, 'ownerId' | 'delegateId' | 'issuedAt'>;

/** Instants before which tokens were revoked, in epoch milliseconds, by owner. */
export type Revocations = ReadonlyMap<bigint, number>;

/** Owner whose revocations end the token: the service, for a delegated call. */
const subjectOf = ({ ownerId, delegateId }: Token) => delegateId ?? ownerId;

/** Whether one of these revocations ends the token. */
export function isRevokedBy(revocations: Revocations, token: Token): boolean {
  return (token.issuedAt?.getTime() ?? -Infinity) < (revocations.get(subjectOf(token)) ?? -Infinity);
}

/**
 * Revocations of tokens, in the memory of each process: read at the start, updated by notifications and by a read every few
 * seconds. A process that could not read them for half a minute accepts no token until it can.
 */
@Injectable()
export class TokenRevocationsService implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(TokenRevocationsService.name);
  private readonly revoked = new RevokedTokens();
  private readonly listeners: ((changed: Revocations) => void)[] = [];
  private latestChange = FIRST_READ;
  /** Start of the last successful read, in milliseconds of `performance.now()`. */
  private readAt = -Infinity;
  private reading: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(
    private readonly revocations: TokenRevocationsRepository,
    private readonly clock: Clock,
    notifications: Notifications,
  ) {
    notifications.listen(CHANNEL, {
      notified: (payload) => {
        const [, ownerId, before] = PAYLOAD.exec(payload) ?? [];
        if (ownerId !== undefined) this.apply(new Map([[BigInt(ownerId), Number(before)]]));
      },
      connected: () => this.readSoon(0),
    });
  }

  async onModuleInit(): Promise<void> {
    await waitFor(
      'PostgreSQL',
      () => this.refresh(),
      (error) => kindOf(error) === 'unavailable',
    );
    this.readSoon(HEARTBEAT_MS);
  }

  onApplicationShutdown(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /**
   * Ends the owner's tokens that were issued before the instant, in all processes. The stored instant never moves back, so
   * a repeat changes nothing.
   * @throws StowageError invalid REVOCATION_IN_FUTURE: an owner could not sign in before that time, and it could not be undone
   */
  async revoke(ownerId: bigint, before: Date): Promise<void> {
    if (before.getTime() > this.clock.now().getTime() + CLOCK_TOLERANCE_SECONDS * 1000) {
      const message =
        'before must not be in the future. Use the current time to end all tokens of the owner.';
      throw invalid('REVOCATION_IN_FUTURE', message, ['before']);
    }
    await this.revocations.revoke(ownerId, before);
    this.logger.log({ revokedOwnerId: String(ownerId), before: before.toISOString() }, 'tokens revoked');
    this.apply(new Map([[ownerId, before.getTime()]]));
  }

  /**
   * Refuses a revoked token, without a query except after an outage of the database.
   * @throws StowageError unauthenticated TOKEN_REVOKED; unavailable DATABASE_UNAVAILABLE
   */
  async verify(token: Token): Promise<void> {
    if (performance.now() - this.readAt > MAX_AGE_MS) await this.refresh();
    const ownerId = subjectOf(token);
    let isRevoked = this.revoked.isRevoked(ownerId, token.issuedAt?.getTime());
    if (isRevoked === 'unknown') {
      const before = await this.revocations.find(ownerId);
      isRevoked = before !== undefined && isRevokedBy(new Map([[ownerId, before.getTime()]]), token);
    }
    if (isRevoked) throw unauthenticated('TOKEN_REVOKED', 'The token was revoked. Get a new one.');
  }

  /** Calls `listener` with revocations when they become known, some of them repeatedly during the first minute. */
  onChange(listener: (changed: Revocations) => void): void {
    this.listeners.push(listener);
  }

  private apply(changed: Revocations): void {
    for (const [ownerId, before] of changed) this.revoked.add(ownerId, before);
    for (const listener of this.listeners) listener(changed);
  }

  /** Reads what changed. Concurrent calls share a read. @throws StowageError unavailable DATABASE_UNAVAILABLE */
  private refresh(): Promise<void> {
    return (this.reading ??= this.read().finally(() => (this.reading = undefined)));
  }

  private async read(): Promise<void> {
    const startedAt = performance.now();
    const since = new Date(this.latestChange.getTime() - OVERLAP_MS);
    for await (const page of this.revocations.changedAfter(since)) {
      this.apply(new Map(page.map(({ ownerId, before }: TokenRevocation) => [ownerId, before.getTime()])));
      const { changedAt } = page.at(-1)!;
      if (changedAt > this.latestChange) this.latestChange = changedAt;
    }
    this.readAt = startedAt;
  }

  private readSoon(delayMs: number): void {
    clearTimeout(this.timer);
    if (this.isStopped) return;
    this.timer = setTimeout(() => {
      // The health check of the database reports an outage.
      void this.refresh()
        .catch(() => undefined)
        .then(() => this.readSoon(HEARTBEAT_MS * (0.75 + Math.random() / 2)));
    }, delayMs);
  }
}
