import { IsOptional, IsString, Matches, MinLength, ValidateIf } from 'class-validator';
import { Rule, Variable } from '#libs/runtime';
import { JSON_POINTER } from './json-pointer.js';
import type { KeySetOptions } from './key-set.js';

const POINTER = {
  message:
    '$property must be a JSON Pointer such as /groups or /realm_access/roles (~1 for a slash in a name, ~0 for a tilde)',
};

/**
 * Requirements on tokens, and where tokens hold groups and scopes. The choice of a secret or a key set determines the
 * accepted algorithms; the token's header never does.
 */
export class IdentityConfig {
  /** Shared secret of HS256 tokens. */
  @Variable('JWT_SECRET')
  @ValidateIf(({ jwksUrl }: IdentityConfig) => jwksUrl === undefined)
  @IsString({ message: 'JWT_SECRET or JWT_JWKS_URL must be set' })
  @MinLength(32, { message: '$property must have at least 32 characters' })
  readonly secret?: string;

  /** URL of a key set for asymmetric tokens. */
  @Variable('JWT_JWKS_URL')
  @IsOptional()
  @Matches(/^https?:\/\//, { message: '$property must be an http:// or https:// URL' })
  @Rule('set JWT_SECRET or JWT_JWKS_URL, not both', ({ secret }: IdentityConfig) => secret === undefined)
  readonly jwksUrl?: string;

  @Variable('JWT_ISSUER')
  @IsString()
  @MinLength(1)
  readonly issuer: string;

  @Variable('JWT_AUDIENCE')
  @IsString()
  @MinLength(1)
  readonly audience: string;

  /** JSON Pointer of the claim with the caller's groups. */
  @Variable('JWT_GROUPS_POINTER')
  @Matches(JSON_POINTER, POINTER)
  readonly groupsPointer: string = '/groups';

  /** JSON Pointer of the claim with the token's scopes. */
  @Variable('JWT_SCOPES_POINTER')
  @Matches(JSON_POINTER, POINTER)
  readonly scopesPointer: string = '/scope';

  /** Limits of requests for the key set. */
  readonly keySet: Omit<KeySetOptions, 'jwksUrl'> = {};
}
