import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { ClientGrantsService, type GrantInput, parseGrant } from '#libs/access';
import { Clock, Database, type Tx } from '#libs/database';
import {
  type Actor,
  assetNotFound,
  invalid,
  parsePrincipal,
  type Permission,
  StowageError,
  assetChanging,
} from '#libs/domain';
import { DomainEventsRepository } from '#libs/events';
import type { Asset } from './asset.js';
import { AssetsService } from './assets.service.js';

/** Each retry means that the asset changed its owner meanwhile. */
const MAX_TRIES = 5;

/** Permissions for one principal on an asset. */
export interface AssetGrantInput extends GrantInput {
  readonly assetId: string;
}

/** Permissions of one principal on an asset; without `permissions`, all. */
export interface AssetRevocationInput {
  readonly assetId: string;
  readonly principal: string;
  readonly permissions?: readonly Permission[] | null;
}

/** Changes access lists for the owners of assets and for operators. */
@Injectable()
export class AssetGrantsService {
  constructor(
    private readonly database: Database,
    private readonly assets: AssetsService,
    private readonly grants: ClientGrantsService,
    private readonly events: DomainEventsRepository,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(AssetGrantsService.name);
  }

  /**
   * Grants permissions, or replaces the expiry of these permissions of the principal. Repeating the call changes nothing.
   * @throws StowageError invalid PRINCIPAL_INVALID, PERMISSIONS_EMPTY, GRANT_TO_EVERYONE, EXPIRY_PAST, ACL_TOO_LONG; not-found
   * ASSET_NOT_FOUND; forbidden PERMISSION_MISSING when the caller may read the asset but is neither its owner nor an operator;
   * unavailable
   */
  async grant(actor: Actor, { assetId, expiresAt = null, ...input }: AssetGrantInput): Promise<Asset> {
    const { principal, permissions } = parseGrant(input, ['input']);
    if (expiresAt !== null && expiresAt <= this.clock.now()) {
      throw invalid('EXPIRY_PAST', 'expiresAt must be in the future.', ['input', 'expiresAt']);
    }
    const grant = { assetId, principal, permissions: [...permissions], expiresAt };
    return this.change(actor, assetId, (tx) => this.grants.grant(tx, grant));
  }

  /**
   * Removes permissions of the principal. Revoking a permission that is not granted changes nothing.
   * @throws StowageError invalid PRINCIPAL_INVALID, PERMISSIONS_EMPTY; otherwise like {@link grant}
   */
  async revoke(
    actor: Actor,
    { assetId, permissions = null, ...input }: AssetRevocationInput,
  ): Promise<Asset> {
    const principal = parsePrincipal(input.principal, ['input', 'principal']);
    if (permissions?.length === 0) {
      throw invalid('PERMISSIONS_EMPTY', 'Name at least one permission, or omit them to revoke all.', [
        'input',
        'permissions',
      ]);
    }
    const revoked = permissions && [...new Set(permissions)];
    return this.change(actor, assetId, (tx) => this.grants.revoke(tx, { assetId, principal }, revoked));
  }

  private async change(actor: Actor, assetId: string, write: (tx: Tx) => Promise<boolean>): Promise<Asset> {
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      const { ownerId } = await this.authorized(actor, assetId);
      const changed = await this.database.transaction(async (tx) => {
        const locked = await this.grants.lock(tx, assetId);
        // The asset was purged, or its owner changed, since the caller was authorized.
        if (locked?.ownerId !== ownerId) return null;
        const changed = await write(tx);
        if (changed) await this.events.append(tx, { type: 'asset.access-changed', assetId, ownerId });
        return changed;
      });
      if (changed === null) continue;
      if (changed) this.logger.info({ assetId }, 'access list changed');
      return this.authorized(actor, assetId);
    }
    throw assetChanging();
  }

  private async authorized(actor: Actor, assetId: string): Promise<Asset> {
    const asset = await this.assets.find(actor, assetId);
    if (asset === null) throw assetNotFound();
    if (!mayGrant(actor, asset)) {
      throw new StowageError(
        'forbidden',
        'PERMISSION_MISSING',
        'Only the owner and operators may change access.',
      );
    }
    return asset;
  }
}

/** Only the owner and operators see and change an access list, whatever is granted to others. */
export const mayGrant = (actor: Actor, { ownerId }: Pick<Asset, 'ownerId'>): boolean =>
  actor.isAdmin || actor.ownerId === ownerId;
