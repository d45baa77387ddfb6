import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';
import { parseGroupName, StowageError, unavailable } from '#libs/domain';
import type { IdentityConfig } from './identity.config.js';
import { parsePointer, valueAt } from './json-pointer.js';
import { KeySet } from './key-set.js';
import { isSubject } from './subject.js';
import { VerifiedTokens } from './verified-tokens.js';

/**
 * Reason to ignore an entry. `invalid`: not a valid group name. `too-many`: beyond the first {@link MAX_GROUPS} groups.
 */
export type GroupDrop = 'invalid' | 'too-many';

/** The claims of a verified token. */
export interface Claims {
  readonly issuer: string;
  readonly subject: string;
  readonly groups: readonly string[];
  readonly scopes: ReadonlySet<string>;
  readonly expiresAt: Date;
  /** Undefined for a token without `iat`. */
  readonly issuedAt?: Date;
}

const ASYMMETRIC = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'EdDSA',
  'Ed25519',
];
/** Maximum difference between the clocks of the identity provider and of the database, in seconds. */
export const CLOCK_TOLERANCE_SECONDS = 30;
/** Limit on groups, since each one is a principal in every SQL statement that checks access. */
export const MAX_GROUPS = 200;
/** The greatest time value of a Date: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const END_OF_TIME_MS = 8.64e15;

/** An error of the kind unauthenticated. */
export const unauthenticated = (reason: string, message: string) =>
  new StowageError('unauthenticated', reason, message);

/** Codes of jose's errors about an invalid token. */
const INVALID = new Set([
  errors.JWTInvalid.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWKSNoMatchingKey.code,
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
]);

/** Verifies by a shared secret, as {@link KeySet} does by published keys. */
function bySecret(secret: string): Pick<KeySet, 'verify'> {
  const key = new TextEncoder().encode(secret);
  return { verify: async (token, checks) => (await jwtVerify(token, key, checks)).payload };
}

/** Verifies JSON Web Tokens (RFC 7519). Issuer, audience, expiry and subject are required. */
export class TokenVerifier {
  private readonly keys: Pick<KeySet, 'verify'>;
  private readonly checks: JWTVerifyOptions;
  private readonly groupsAt: readonly string[];
  private readonly scopesAt: readonly string[];
  private readonly verified = new VerifiedTokens();

  /**
   * @param dropped called with the number of ignored group entries whenever a token is verified
   * @param now clock that decides whether a token has expired
   * @throws TypeError if a pointer is not a valid JSON Pointer
   */
  constructor(
    { issuer, audience, secret, jwksUrl, keySet, groupsPointer, scopesPointer }: IdentityConfig,
    private readonly dropped: (drop: GroupDrop, count: number) => void = () => undefined,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.groupsAt = parsePointer(groupsPointer);
    this.scopesAt = parsePointer(scopesPointer);
    this.keys = jwksUrl === undefined ? bySecret(secret ?? '') : new KeySet({ ...keySet, jwksUrl });
    this.checks = {
      issuer,
      audience,
      algorithms: jwksUrl === undefined ? ['HS256'] : ASYMMETRIC,
      requiredClaims: ['iss', 'aud', 'exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    };
  }

  /**
   * Verifies a token. A verified token is cached for a minute, so within that time its key is not checked again.
   * @throws StowageError unauthenticated TOKEN_EXPIRED, TOKEN_INVALID; unavailable KEYS_UNAVAILABLE
   */
  async verify(token: string): Promise<Claims> {
    const now = this.now();
    const known = this.verified.find(token, now.getTime());
    if (known !== undefined) return known;
    const payload = await this.keys
      .verify(token, { ...this.checks, currentDate: now })
      .catch((error: unknown) => {
        throw refusalOf(error);
      });
    const claims = this.claimsOf(payload);
    this.verified.add(token, claims, (payload.exp ?? 0) * 1000, now.getTime());
    return claims;
  }

  private claimsOf(payload: JWTPayload): Claims {
    const { iss, sub: subject, exp, iat } = payload;
    // The types promise a string, but jose checks only that the claim exists.
    if (iss === undefined || exp === undefined || !isSubject(subject)) {
      throw unauthenticated('TOKEN_INVALID', "The token's subject is not valid.");
    }
    return {
      issuer: iss,
      subject,
      groups: this.groupsOf(valueAt(payload, this.groupsAt)),
      scopes: new Set(scopesOf(valueAt(payload, this.scopesAt))),
      expiresAt: dateOf(exp + CLOCK_TOLERANCE_SECONDS),
      issuedAt: iat === undefined ? undefined : dateOf(iat),
    };
  }

  private groupsOf(claim: unknown): string[] {
    const entries = entriesOf(claim, ',');
    const names = entries.map((entry) => (typeof entry === 'string' ? parseGroupName(entry) : null));
    const valid = names.filter((name) => name !== null);
    const groups = [...new Set(valid)];
    this.dropped('invalid', names.length - valid.length);
    this.dropped('too-many', Math.max(0, groups.length - MAX_GROUPS));
    return groups.slice(0, MAX_GROUPS);
  }
}

/** The time of a claim in seconds, which is not always a whole number, within the times of a Date. */
const dateOf = (seconds: number) =>
  new Date(Math.max(-END_OF_TIME_MS, Math.min(seconds * 1000, END_OF_TIME_MS)));

/**
 * The entries of a claim: a list, a single value, or one text with separators. Some providers send one entry without a
 * list.
 */
function entriesOf(claim: unknown, separator: string): readonly unknown[] {
  if (claim === undefined || claim === null) return [];
  if (typeof claim !== 'string') return Array.isArray(claim) ? claim : [claim];
  return claim
    .split(separator)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** A text separated by spaces per https://www.rfc-editor.org/rfc/rfc8693#section-4.2; some providers send a list. */
const scopesOf = (claim: unknown): string[] =>
  entriesOf(claim, ' ').flatMap((entry) => (typeof entry === 'string' ? entry.split(' ') : []));

/** An error that is not about the token, such as an unreachable key set, is a server problem. */
function refusalOf(error: unknown): StowageError {
  if (error instanceof errors.JWTExpired) return unauthenticated('TOKEN_EXPIRED', 'The token has expired.');
  if (error instanceof errors.JOSEError && INVALID.has(error.code)) {
    return unauthenticated('TOKEN_INVALID', 'The token is not valid.');
  }
  return unavailable('KEYS_UNAVAILABLE', 'Tokens cannot be verified at the moment. Try again later.', error);
}
