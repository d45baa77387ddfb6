import { invalid } from './errors.js';

export const PERMISSIONS = ['READ', 'WRITE', 'DELETE'] as const;
export type Permission = (typeof PERMISSIONS)[number];

/** The caller of an operation. */
export interface Actor {
  readonly ownerId: bigint;
  readonly groups: readonly string[];
  readonly isAdmin: boolean;
  /** Subject of the service that acts for the owner, if any. */
  readonly delegate?: string;
  /** Owner id of that service, whose token it is. */
  readonly delegateId?: bigint;
  /** Expiry of the caller's token; operations that outlast it, such as subscriptions, end then. */
  readonly until?: Date;
  /** Time at which the token was issued; undefined if it does not say. A revocation ends the tokens issued before an instant. */
  readonly issuedAt?: Date;
}

const GROUP_NAME = /^[^\p{Cc}\p{Cs},]{1,200}$/u;
/**
 * Maximum number of code units that NFC may compose to 200 characters; normalizing a long text may take quadratic time.
 */
const MAX_GROUP_UNITS = 2 * 4 * 200;
const CANONICAL_USER_ID = /^(0|[1-9][0-9]{0,18})$/;
const MAX_OWNER_ID = 2n ** 63n - 1n;

/**
 * Returns the canonical form (NFC) of a group's name; null if the name is invalid. A name has 1 to 200 characters
 * without control characters and commas. `*` is invalid because it would look like everyone.
 */
export function parseGroupName(text: string): string | null {
  if (text.length > MAX_GROUP_UNITS) return null;
  const name = text.normalize('NFC');
  return GROUP_NAME.test(name) && name !== '*' ? name : null;
}

/**
 * Returns the owner id of a text without a sign and without leading zeros.
 * @throws StowageError invalid OWNER_ID_INVALID
 */
export function parseOwnerId(text: string, path?: readonly (string | number)[]): bigint {
  if (CANONICAL_USER_ID.test(text) && BigInt(text) <= MAX_OWNER_ID) return BigInt(text);
  throw invalid('OWNER_ID_INVALID', 'An owner id must be a whole number.', path);
}

/** Kinds of principals that a caller has by its token. Principals of other kinds (`<prefix>:<id>`) belong to features. */
export const CALLER_PRINCIPAL_KINDS = ['user', 'group'] as const;

/** Canonical principals of a caller: the user, each group, and everyone. */
export const principalsOf = (actor: Actor): string[] => [
  `user:${actor.ownerId}`,
  ...actor.groups.map((group) => `group:${group}`),
  '*',
];

/**
 * Returns the canonical form of a principal: `user:42` (no sign, no leading zero), `group:<name>` in NFC, or `*`. Refuses the
 * principals of features, to which only features grant.
 * @throws StowageError invalid PRINCIPAL_INVALID
 */
export function parsePrincipal(text: string, path?: readonly (string | number)[]): string {
  if (text === '*') return text;
  const colon = text.indexOf(':');
  const name = text.slice(colon + 1);
  if (text.startsWith('user:') && CANONICAL_USER_ID.test(name) && BigInt(name) <= MAX_OWNER_ID) return text;
  const group = text.startsWith('group:') ? parseGroupName(name) : null;
  if (group !== null) return `group:${group}`;
  throw invalid('PRINCIPAL_INVALID', 'A principal must be user:<id>, group:<name> or *.', path);
}
