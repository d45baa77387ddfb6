import { Injectable } from '@nestjs/common';
import type { IncomingHttpHeaders } from 'node:http';
import { Counter, Registry } from 'prom-client';
import { Clock, Database, type Statement } from '#libs/database';
import { type Actor, invalid, StowageError } from '#libs/domain';
import { IdentityConfig } from './identity.config.js';
import { isSubject, textOf } from './subject.js';
import { type Claims, TokenVerifier, unauthenticated } from './token-verifier.js';

/** Scope of operators, who may see and do everything. */
const ADMIN_SCOPE = 'stowage.admin';
/** Scope of a service that may act for the owner named in the header {@link ON_BEHALF_OF}. */
const DELEGATE_SCOPE = 'stowage.delegate';
/** Request header with the subject of an owner in UTF-8, under the same rules as a token's `sub`. */
export const ON_BEHALF_OF = 'x-stowage-on-behalf-of';

const DECIMAL = /^(0|[1-9][0-9]{0,18})$/;
const MAX_DIRECT_ID = 2n ** 62n;
const MAX_CACHED_SUBJECTS = 10_000;

const FIND_OWNER: Statement<{ owner_id: string }> = {
  name: 'identity_find_owner',
  text: 'select owner_id from owners where issuer = $1 and subject = $2',
};
const ADD_OWNER: Statement<{ owner_id: string }> = {
  name: 'identity_add_owner',
  text: `insert into owners (issuer, subject) values ($1, $2)
         on conflict (issuer, subject) do update set subject = excluded.subject returning owner_id`,
};

/** Authenticates requests: derives the {@link Actor} from the request headers. */
@Injectable()
export class IdentityService {
  private readonly verifier: TokenVerifier;
  private readonly owners = new Map<string, bigint>();

  constructor(
    config: IdentityConfig,
    private readonly database: Database,
    private readonly clock: Clock,
    registry: Registry,
  ) {
    const dropped = new Counter({
      name: 'stowage_token_groups_dropped_total',
      help: 'Entries of the groups claim in verified tokens that were ignored, by reason',
      labelNames: ['reason'],
      registers: [registry],
    });
    this.verifier = new TokenVerifier(
      config,
      (reason, count) => dropped.inc({ reason }, count),
      () => clock.now(),
    );
  }

  /**
   * Authenticates a request.
   * @param headers as Node provides them, with one character for each byte
   * @throws StowageError unauthenticated (TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID), forbidden DELEGATION_REFUSED,
   * invalid SUBJECT_INVALID, unavailable KEYS_UNAVAILABLE, CLOCK_OFFSET
   */
  async authenticate(headers: IncomingHttpHeaders): Promise<Actor> {
    const token = /^Bearer +([^\s]+)$/i.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) {
      throw unauthenticated('TOKEN_MISSING', 'Send the header Authorization: Bearer <JWT>.');
    }
    this.clock.check();
    const claims = await this.verifier.verify(token);
    const onBehalfOf = headers[ON_BEHALF_OF];
    if (onBehalfOf !== undefined) return this.delegate(claims, onBehalfOf);
    return {
      ownerId: await this.ownerOf(claims.issuer, claims.subject),
      groups: claims.groups,
      isAdmin: claims.scopes.has(ADMIN_SCOPE),
      until: claims.expiresAt,
    };
  }

  private async delegate(claims: Claims, onBehalfOf: string | string[]): Promise<Actor> {
    if (!claims.scopes.has(DELEGATE_SCOPE)) {
      throw new StowageError('forbidden', 'DELEGATION_REFUSED', 'This token may not act for another owner.');
    }
    const subject = typeof onBehalfOf === 'string' ? textOf(onBehalfOf) : undefined;
    if (!isSubject(subject)) {
      const message = `${ON_BEHALF_OF} must be one subject in UTF-8: 1 to 255 characters without control characters.`;
      throw invalid('SUBJECT_INVALID', message);
    }
    return {
      ownerId: await this.ownerOf(claims.issuer, subject),
      groups: [],
      isAdmin: false,
      delegate: claims.subject,
      until: claims.expiresAt,
    };
  }

  /**
   * A decimal subject up to 2^62 is the owner id itself. The database maps any other subject permanently to an id above
   * 2^62.
   */
  private async ownerOf(issuer: string, subject: string): Promise<bigint> {
    if (DECIMAL.test(subject) && BigInt(subject) <= MAX_DIRECT_ID) return BigInt(subject);
    const key = `${issuer}\n${subject}`;
    const cached = this.owners.get(key);
    if (cached !== undefined) return cached;
    const values = [issuer, subject];
    const [row] = await this.database.query(FIND_OWNER, values);
    const [owner] = row === undefined ? await this.database.query(ADD_OWNER, values) : [row];
    const ownerId = BigInt(owner!.owner_id);
    if (this.owners.size >= MAX_CACHED_SUBJECTS) this.owners.clear();
    this.owners.set(key, ownerId);
    return ownerId;
  }
}
