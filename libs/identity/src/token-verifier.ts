import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';
import { StowageError, isGroupName, unavailable } from '#libs/domain';
import { KeySet, type KeySetOptions } from './key-set.js';
import { isSubject } from './subject.js';
import { VerifiedTokens } from './verified-tokens.js';

export interface IdentityOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Either a shared secret (HS256) or a key set; the algorithm follows from which, never from the token. */
  readonly key: { readonly secret: string } | KeySetOptions;
}

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
  private readonly verified = new VerifiedTokens();

  constructor({ issuer, audience, key }: IdentityOptions) {
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
    const known = this.verified.find(token);
    if (known !== undefined) return known;
    const payload = await this.payload(token, this.checks).catch((error: unknown) => {
      throw refusalOf(error);
    });
    const claims = claimsOf(payload);
    this.verified.add(token, claims, (payload.exp ?? 0) * 1000);
    return claims;
  }
}

function refusalOf(error: unknown): StowageError {
  const refusal = error instanceof errors.JOSEError ? REFUSALS[error.code] : undefined;
  return refusal === undefined
    ? unavailable('KEYS_UNAVAILABLE', 'Tokens cannot be checked at the moment.', error)
    : unauthenticated(...refusal);
}

function claimsOf(payload: JWTPayload): Claims {
  const { iss, sub, exp, groups = [], scope = '' } = payload;
  const refuse = (what: string) => unauthenticated('TOKEN_INVALID', `The token's ${what} is not valid.`);
  // Not what the types say: jose checks that the claims are there, not what they are.
  const subject: unknown = sub;
  if (iss === undefined || exp === undefined || !isSubject(subject)) throw refuse('subject');
  if (!Array.isArray(groups) || !groups.every((name) => typeof name === 'string' && isGroupName(name))) {
    throw refuse('groups claim');
  }
  if (typeof scope !== 'string') throw refuse('scope');
  return {
    issuer: iss,
    subject,
    groups: groups as string[],
    scopes: new Set(scope.split(' ')),
    expiresAt: new Date(Math.min((exp + CLOCK_TOLERANCE_SECONDS) * 1000, END_OF_TIME_MS)),
  };
}
