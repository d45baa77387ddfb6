import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from 'jose';
import { StowageError, isGroupName, unavailable } from '#libs/domain';
import { isSubject } from './subject.js';
import { VerifiedTokens } from './verified-tokens.js';

export interface IdentityOptions {
  readonly issuer: string;
  readonly audience: string;
  /** Either a shared secret (HS256) or a key set; the algorithm follows from which, never from the token. */
  readonly key: { readonly secret: string } | { readonly jwksUrl: string };
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
const JWKS_TIMEOUT_MS = 5_000;
const CLOCK_TOLERANCE_SECONDS = 30;
/** The last moment of a Date: https://tc39.es/ecma262/#sec-time-values-and-time-range */
const END_OF_TIME_MS = 8.64e15;

export const unauthenticated = (reason: string, message: string) =>
  new StowageError('unauthenticated', reason, message);

/** JSON Web Tokens (RFC 7519): issuer, audience, expiry and subject are all required. */
export class TokenVerifier {
  private readonly key: Uint8Array | JWTVerifyGetKey;
  private readonly algorithms: string[];
  private readonly verified = new VerifiedTokens();

  constructor(private readonly options: IdentityOptions) {
    if ('secret' in options.key) {
      this.key = new TextEncoder().encode(options.key.secret);
      this.algorithms = ['HS256'];
    } else {
      this.key = createRemoteJWKSet(new URL(options.key.jwksUrl), { timeoutDuration: JWKS_TIMEOUT_MS });
      this.algorithms = ASYMMETRIC;
    }
  }

  /**
   * A token that was verified is believed for a minute without another look at its key.
   * @throws StowageError unauthenticated TOKEN_EXPIRED, TOKEN_INVALID; unavailable KEYS_UNAVAILABLE
   */
  async verify(token: string): Promise<Claims> {
    const known = this.verified.find(token);
    if (known !== undefined) return known;
    const payload = await this.payloadOf(token);
    const claims = claimsOf(payload);
    this.verified.add(token, claims, (payload.exp ?? 0) * 1000);
    return claims;
  }

  private async payloadOf(token: string): Promise<JWTPayload> {
    const { issuer, audience } = this.options;
    const checks = {
      issuer,
      audience,
      algorithms: this.algorithms,
      requiredClaims: ['iss', 'aud', 'exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    };
    try {
      const { key } = this;
      const verified =
        typeof key === 'function' ? await jwtVerify(token, key, checks) : await jwtVerify(token, key, checks);
      return verified.payload;
    } catch (error) {
      if (error instanceof errors.JWTExpired)
        throw unauthenticated('TOKEN_EXPIRED', 'The token has expired.');
      if (error instanceof errors.JWKSTimeout) {
        throw unavailable('KEYS_UNAVAILABLE', 'Tokens cannot be checked at the moment.', error);
      }
      // Everything jose says about the token itself, and nothing else: a key set that does not answer is our trouble.
      if (error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC') {
        throw unauthenticated('TOKEN_INVALID', 'The token is not valid.');
      }
      throw unavailable('KEYS_UNAVAILABLE', 'Tokens cannot be checked at the moment.', error);
    }
  }
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
