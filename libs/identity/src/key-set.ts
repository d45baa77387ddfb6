import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';

export interface KeySetOptions {
  readonly jwksUrl: string;
  /** For so long a token that no key fits does not have the set read once more; 5 seconds when left out. */
  readonly cooldownMs?: number;
  /** How long the provider may take; 5 seconds when left out. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;
const COOLDOWN_MS = 5_000;
const MAX_AGE_MS = 10 * 60_000;
/** How long keys are used whose provider is in trouble: no longer than it may take until one that was taken back is refused. */
const LONGEST_MS = 60 * 60_000;

/** The keys that an identity provider publishes, read anew every ten minutes, and when a token is of none of them. */
export class KeySet {
  private readonly keys: ReturnType<typeof createRemoteJWKSet>;
  private readonly cooldownMs: number;
  private readAt = -Infinity;
  private rereadAt = -Infinity;
  private rereading = Promise.resolve();

  constructor({ jwksUrl, cooldownMs = COOLDOWN_MS, timeoutMs = TIMEOUT_MS }: KeySetOptions) {
    // jose's own cooldown and age count answers: a provider that gives none would be asked for every token.
    this.keys = createRemoteJWKSet(new URL(jwksUrl), {
      timeoutDuration: timeoutMs,
      cooldownDuration: Infinity,
      cacheMaxAge: Infinity,
    });
    this.cooldownMs = cooldownMs;
  }

  /** @throws what jose throws, of the token or of the set, and what `fetch` does */
  async verify(token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
    await this.refresh();
    try {
      return await this.attempt(token, checks);
    } catch (error) {
      if (!isOfNoKey(error)) throw error;
    }
    await this.reread();
    return this.attempt(token, checks);
  }

  private async refresh(now = performance.now()): Promise<void> {
    if (now < this.readAt + MAX_AGE_MS) return;
    try {
      await this.reread(now);
      // A key that is new right after that is not kept waiting for it.
      this.rereadAt = -Infinity;
    } catch (error) {
      if (now >= this.readAt + LONGEST_MS) throw error;
    }
  }

  /** What the last reading brought while that is not long ago, be it trouble: whose key it lacks is not refused for that. */
  private reread(now = performance.now()): Promise<void> {
    if (now >= this.rereadAt + this.cooldownMs) {
      this.rereadAt = now;
      this.rereading = this.keys.reload().then(() => {
        this.readAt = performance.now();
      });
    }
    return this.rereading;
  }

  private async attempt(token: string, checks: JWTVerifyOptions): Promise<JWTPayload> {
    try {
      return (await jwtVerify(token, this.keys, checks)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return this.tryEach(error, token, checks);
      throw error;
    }
  }

  /** Without a `kid`, while keys are valid side by side, only trying says which one it was. */
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
        // A key that cannot be used, such as a short one, is no word on the token.
        if (!(error instanceof errors.JOSEError)) continue;
        if (!isOfNoKey(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }
}

const isOfNoKey = (error: unknown) =>
  error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
