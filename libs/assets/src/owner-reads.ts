import { setTimeout as delay } from 'node:timers/promises';
import type { Actor } from '#libs/domain';
import type { Asset } from './asset.js';
import type { AssetsService } from './assets.service.js';

/** Ids that one statement reads at most. */
const MAX_IDS = 500;
/** Time from the end of an owner's statement to the start of the next. */
const PAUSE_MS = 100;

interface Batch {
  readonly ids: Set<string>;
  readonly found: Promise<{ readonly assets: ReadonlyMap<string, Asset>; readonly readAt: number }>;
}

/** Assets that the caller could read when their statement began, in milliseconds of `performance.now()`. */
export interface OwnerRead {
  readonly assets: readonly Asset[];
  readonly readAt: number;
}

/** The fields of a caller on which access depends. */
const accessOf = ({ ownerId, groups, isAdmin }: Actor) => JSON.stringify([String(ownerId), groups, isAdmin]);

/**
 * Reads assets for subscriptions: one statement at a time for each owner, and at most ten a second. All reads that are requested
 * while a statement runs share the next one if their callers have equal rights.
 */
export class OwnerReads {
  /** Batches that still accept ids, by the rights of the caller. */
  private readonly open = new Map<string, Batch>();
  /** Resolves when the last statement of an owner and the pause after it have ended. */
  private readonly last = new Map<bigint, Promise<void>>();

  constructor(private readonly assets: AssetsService) {}

  /**
   * The assets that exist and that the caller may read, in the order of the ids.
   * @throws StowageError unavailable
   */
  async read(actor: Actor, ids: readonly string[]): Promise<OwnerRead> {
    const access = accessOf(actor);
    let batch = this.open.get(access);
    if (batch === undefined || batch.ids.size + ids.length > MAX_IDS) batch = this.begin(actor, access);
    for (const id of ids) batch.ids.add(id);
    const { assets, readAt } = await batch.found;
    return { assets: ids.flatMap((id) => assets.get(id) ?? []), readAt };
  }

  private begin(actor: Actor, access: string): Batch {
    const { ownerId } = actor;
    const ids = new Set<string>();
    const previous = this.last.get(ownerId) ?? Promise.resolve();
    const found = previous.then(async () => {
      if (this.open.get(access) === batch) this.open.delete(access);
      const readAt = performance.now();
      const assets = await this.assets.findAll(actor, [...ids]);
      return { assets: new Map(assets.map((asset) => [asset.id, asset])), readAt };
    });
    const batch: Batch = { ids, found };
    this.open.set(access, batch);
    const end = found
      .then(
        () => undefined,
        () => undefined,
      )
      .then(() => delay(PAUSE_MS, undefined, { ref: false }))
      .then(() => {
        if (this.last.get(ownerId) === end) this.last.delete(ownerId);
      });
    this.last.set(ownerId, end);
    return batch;
  }
}
