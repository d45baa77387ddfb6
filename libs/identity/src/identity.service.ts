import { Injectable } from '@nestjs/common';
import type { IncomingHttpHeaders } from 'node:http';
import { Counter, Registry } from 'prom-client';
import { Clock } from '#libs/database';
import { type Actor, invalid, StowageError } from '#libs/domain';
import { IdentityConfig } from './identity.config.js';
import { OwnersRepository } from './owners.repository.js';
import { isSubject, textOf } from './subject.js';
import { TokenRevocationsService } from './token-revocations.service.js';
import { type Claims, TokenVerifier, unauthenticated } from './token-verifier.js';

/** Scope of operators, who may see and do everything. */
const ADMIN_SCOPE = 'stowage.admin';
/** Scope of a service that may act for the owner named in the header {@link ON_BEHALF_OF}. */
const DELEGATE_SCOPE = 'stowage.delegate';
/** Request header with the subject of an owner in UTF-8, under the same rules as a token's `sub`. */
export const ON_BEHALF_OF = 'x-stowage-on-behalf-of';

/** Authenticates requests: derives the {@link Actor} from the request headers. */
@Injectable()
export class IdentityService {
  private readonly verifier: TokenVerifier;

  constructor(
    config: IdentityConfig,
    private readonly owners: OwnersRepository,
    private readonly revocations: TokenRevocationsService,
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
   * @throws StowageError unauthenticated (TOKEN_MISSING, TOKEN_EXPIRED, TOKEN_INVALID, TOKEN_REVOKED), forbidden
   * DELEGATION_REFUSED, invalid SUBJECT_INVALID, unavailable KEYS_UNAVAILABLE, CLOCK_OFFSET, DATABASE_UNAVAILABLE
   */
  async authenticate(headers: IncomingHttpHeaders): Promise<Actor> {
    const token = /^Bearer +([^\s]+)$/i.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) {
      throw unauthenticated('TOKEN_MISSING', 'Send the header Authorization: Bearer <JWT>.');
    }
    this.clock.check();
    const claims = await this.verifier.verify(token);
    const onBehalfOf = headers[ON_BEHALF_OF];
    const actor = await (onBehalfOf === undefined ? this.owner(claims) : this.delegate(claims, onBehalfOf));
    await this.revocations.verify(actor);
    return actor;
  }

  private async owner(claims: Claims): Promise<Actor> {
    return {
      ownerId: await this.owners.idOf(claims.issuer, claims.subject),
      groups: claims.groups,
      isAdmin: claims.scopes.has(ADMIN_SCOPE),
      until: claims.expiresAt,
      issuedAt: claims.issuedAt,
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
      ownerId: await this.owners.idOf(claims.issuer, subject),
      groups: [],
      isAdmin: false,
      delegate: claims.subject,
      delegateId: await this.owners.idOf(claims.issuer, claims.subject),
      until: claims.expiresAt,
      issuedAt: claims.issuedAt,
    };
  }
}
