import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';

/** A JSON Web Key Set (RFC 7517) at a URL of the identity provider. */
export interface KeySetOptions {
  readonly jwksUrl: string;
  /** Minimum time between two reloads caused by tokens with unknown keys, in milliseconds; default 5 seconds. */
  readonly cooldownMs?: number;
  /** Time limit for a request to the provider, in milliseconds; default 5 seconds. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
const COOLDOWN_MS = 5_000;
const MAX_AGE_MS = 10 * 60_000;
/** Limit on the age of keys while the provider fails. This is also the longest time until a revoked key is rejected. */
const MAX_STALE_MS = 60 * 60_000;

/**
 * The published keys of an identity provider. The set is reloaded every ten minutes, and when a token matches none of
 * its keys.
 */
export class KeySet {
  private readonly keys: ReturnType<typeof createRemoteJWKSet>;
  private readonly cooldownMs: number;
  private loadedAt = -Infinity;
  private reloadStartedAt = -Infinity;
  private lastReload = Promise.resolve();

  constructor({ jwksUrl, cooldownMs = COOLDOWN_MS, timeoutMs = TIMEOUT_MS }: KeySetOptions) {
    // jose's own cooldown and cache age count successful answers only: a failing provider would get a request for every
    // token.
    this.keys = createRemoteJWKSet(new URL(jwksUrl), {
      timeoutDuration: timeoutMs,
      cooldownDuration: Infinity,
      cacheMaxAge: Infinity,
    });
    this.cooldownMs = cooldownMs;
  }

  /** @throws errors of jose about the token or the set, and errors of `fetch` */
  async verify(token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
    await this.refresh();
    try {
      return await this.attempt(token, checks);
    } catch (error) {
      if (!isUnknownKey(error)) throw error;
    }
    await this.reload();
    return this.attempt(token, checks);
  }

  private async refresh(now = performance.now()): Promise<void> {
    if (now < this.loadedAt + MAX_AGE_MS) return;
    try {
      await this.reload(now);
      // A scheduled reload does not start the cooldown, so a key published right after it is found at once.
      this.reloadStartedAt = -Infinity;
    } catch (error) {
      if (now >= this.loadedAt + MAX_STALE_MS) throw error;
    }
  }

  /**
   * Reloads the set, or returns the outcome of the last reload during the cooldown. A failure is repeated as well, so
   * that a token with an unknown key is not rejected while the provider fails.
   */
  private reload(now = performance.now()): Promise<void> {
    if (now >= this.reloadStartedAt + this.cooldownMs) {
      this.reloadStartedAt = now;
      this.lastReload = this.keys.reload().then(() => {
        this.loadedAt = performance.now();
      });
    }
    return this.lastReload;
  }

  private async attempt(token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.keys, checks)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return this.tryEach(error, token, checks);
      throw error;
    }
  }

  /** Tries each matching key: without a `kid`, several valid keys can match a token. */
  private async tryEach(
    candidates: errors.JWKSMultipleMatchingKeys,
    token: string,
    checks: JWTVerifyOptions,
  ): Promise<JWTPayload> {
    let failure: errors.JOSEError = candidates;
    for await (const key of candidates) {
      try {
        return (await jwtVerify(token, key, checks)).payload;
      } catch (error) {
        // An unusable key, such as a short one, does not prove the token invalid.
        if (!(error instanceof errors.JOSEError)) continue;
        if (!isUnknownKey(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}

const isUnknownKey = (error: unknown) =>
  error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
