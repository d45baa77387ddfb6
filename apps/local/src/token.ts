import { SignJWT } from 'jose';

/** Issuer and audience of the tokens for the embedded stack. */
export const TOKEN_ISSUER = 'stowage-local';

interface TokenOptions {
  /** Subject of the token: the user's id, 1 to 255 characters. */
  readonly subject: string;
  readonly groups?: readonly string[];
  /** Whether the token has the operator scope `stowage.admin`. */
  readonly admin?: boolean;
  /** Lifetime, a time span such as `30d` or `15 minutes`; default 30 days. */
  readonly expiresIn?: string;
}

/** Signs a token (JWT, HS256) for the embedded stack with this secret. */
export function signToken(jwtSecret: string, options: TokenOptions): Promise<string> {
  const claims = {
    ...(options.groups?.length ? { groups: options.groups } : {}),
    ...(options.admin ? { scope: 'stowage.admin' } : {}),
  };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setIssuer(TOKEN_ISSUER)
    .setAudience(TOKEN_ISSUER)
    .setSubject(options.subject)
    .setIssuedAt()
    .setExpirationTime(options.expiresIn ?? '30d')
    .sign(new TextEncoder().encode(jwtSecret));
}
