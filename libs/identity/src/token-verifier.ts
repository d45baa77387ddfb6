import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';
import { parseGroupName, StowageError, unavailable } from '#libs/domain';
import { parsePointer, valueAt } from './json-pointer.js';
import { KeySet, type KeySetOptions } from './key-set.js';
import { isSubject } from './subject.js';
import { VerifiedTokens } from './verified-tokens.js';

export interface IdentityOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Either a shared secret (HS256) or a key set; the algorithm follows from which, never from the token. */
  readonly key: { readonly secret: string } | KeySetOptions;
  /** JSON Pointer of the claim that names the caller's groups; `/groups` when left out. */
  readonly groupsPointer?: string;
  /** JSON Pointer of the claim that names the token's scopes; `/scope` when left out. */
  readonly scopesPointer?: string;
}

/** `invalid`: no group can be called so. `too-many`: after the first {@link MAX_GROUPS}. */
export type GroupDrop = 'invalid' | 'too-many';

/** What a verified token says. */
export interface Claims {
  readonly issuer: string;
  readonly subject: string;
  readonly groups: readonly string[];
  readonly scopes: ReadonlySet<string>;
  readonly expiresAt: Date;
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
const CLOCK_TOLERANCE_SECONDS = 30;
/** Each is a principal in every statement that asks what the caller may see. */
const MAX_GROUPS = 200;
/** The last moment of a Date: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const END_OF_TIME_MS = 8.64e15;

export const unauthenticated = (reason: string, message: string) =>
  new StowageError('unauthenticated', reason, message);

const INVALID = ['TOKEN_INVALID', 'The token is not valid.'] as const;
/** What jose says of a token, by its code. All else is not the token's fault: a key set that cannot be had is our trouble. */
const REFUSALS: Readonly<Record<string, readonly [reason: string, message: string]>> = {
  [errors.JWTExpired.code]: ['TOKEN_EXPIRED', 'The token has expired.'],
  [errors.JWTInvalid.code]: INVALID,
  [errors.JWTClaimValidationFailed.code]: INVALID,
  [errors.JWSInvalid.code]: INVALID,
  [errors.JWSSignatureVerificationFailed.code]: INVALID,
  [errors.JWKSNoMatchingKey.code]: INVALID,
  [errors.JOSEAlgNotAllowed.code]: INVALID,
  [errors.JOSENotSupported.code]: INVALID,
};

type Verify = (token: string, checks: JWTVerifyOptions) => Promise<JWTPayload>;

function bySecret(secret: string): Verify {
  const key = new TextEncoder().encode(secret);
  return async (token, checks) => (await jwtVerify(token, key, checks)).payload;
}

function byKeySet(options: KeySetOptions): Verify {
  const keys = new KeySet(options);
  return (token, checks) => keys.verify(token, checks);
}

/** JSON Web Tokens (RFC 7519): issuer, audience, expiry and subject are all required. */
export class TokenVerifier {
  private readonly payload: Verify;
  private readonly checks: JWTVerifyOptions;
  private readonly groupsAt: readonly string[];
  private readonly scopesAt: readonly string[];
  private readonly verified = new VerifiedTokens();

  /**
   * @param dropped told how many entries of a token's groups are not used, each time that a token is verified
   * @param now the time by which a token has expired
   * @throws TypeError when a pointer is none
   */
  constructor(
    { issuer, audience, key, groupsPointer = '/groups', scopesPointer = '/scope' }: IdentityOptions,
    private readonly dropped: (drop: GroupDrop, count: number) => void = () => undefined,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.groupsAt = parsePointer(groupsPointer);
    this.scopesAt = parsePointer(scopesPointer);
    this.payload = 'secret' in key ? bySecret(key.secret) : byKeySet(key);
    this.checks = {
      issuer,
      audience,
      algorithms: 'secret' in key ? ['HS256'] : ASYMMETRIC,
      requiredClaims: ['iss', 'aud', 'exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    };
  }

  /**
   * A token that was verified is believed for a minute without another look at its key.
   * @throws StowageError unauthenticated TOKEN_EXPIRED, TOKEN_INVALID; unavailable KEYS_UNAVAILABLE
   */
  async verify(token: string): Promise<Claims> {
    const now = this.now();
    const known = this.verified.find(token, now.getTime());
    if (known !== undefined) return known;
    const payload = await this.payload(token, { ...this.checks, currentDate: now }).catch(
      (error: unknown) => {
        throw refusalOf(error);
      },
    );
    const claims = this.claimsOf(payload);
    this.verified.add(token, claims, (payload.exp ?? 0) * 1000, now.getTime());
    return claims;
  }

  private claimsOf(payload: JWTPayload): Claims {
    const { iss, sub, exp } = payload;
    // Not what the types say: jose checks that the claims are there, not what they are.
    const subject: unknown = sub;
    if (iss === undefined || exp === undefined || !isSubject(subject)) {
      throw unauthenticated('TOKEN_INVALID', "The token's subject is not valid.");
    }
    return {
      issuer: iss,
      subject,
      groups: this.groupsOf(valueAt(payload, this.groupsAt)),
      scopes: new Set(scopesOf(valueAt(payload, this.scopesAt))),
      expiresAt: new Date(Math.min((exp + CLOCK_TOLERANCE_SECONDS) * 1000, END_OF_TIME_MS)),
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

/** The entries of a claim that is a list, or one text for all of them; a provider with one entry may leave the list out. */
function entriesOf(claim: unknown, separator: string): readonly unknown[] {
  if (claim === undefined || claim === null) return [];
  if (typeof claim !== 'string') return Array.isArray(claim) ? claim : [claim];
  return claim
    .split(separator)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

/** https://www.rfc-editor.org/rfc/rfc8693#section-4.2: one text with spaces between; some providers send a list. */
const scopesOf = (claim: unknown): string[] =>
  entriesOf(claim, ' ').flatMap((entry) => (typeof entry === 'string' ? entry.split(' ') : []));

function refusalOf(error: unknown): StowageError {
  const refusal = error instanceof errors.JOSEError ? REFUSALS[error.code] : undefined;
  return refusal === undefined
    ? unavailable('KEYS_UNAVAILABLE', 'Tokens cannot be checked at the moment.', error)
    : unauthenticated(...refusal);
}
