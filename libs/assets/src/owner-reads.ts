import { setTimeout as delay } from 'node:timers/promises';
import type { Actor } from '#libs/domain';
import type { Asset } from './asset.js';
import type { AssetsService } from './assets.service.js';

/** Of a statement. */
const MAX_IDS = 500;
/** From the end of an owner's read to the next. */
const PAUSE_MS = 100;

interface Batch {
  readonly ids: Set<string>;
  readonly found: Promise<ReadonlyMap<string, Asset>>;
}

/** Everything about a caller on which access depends. */
const accessOf = ({ ownerId, groups, isAdmin }: Actor) => JSON.stringify([String(ownerId), groups, isAdmin]);

/**
 * Reads assets for the subscriptions of owners: for each owner one statement at a time, and ten a second at the most. What is asked for
 * meanwhile, by however many subscriptions of the same rights, shares the next statement.
 */
export class OwnerReads {
  /** Batches that still take ids, by the rights of who reads. */
  private readonly open = new Map<string, Batch>();
  /** The end of each owner's last read and of the pause after it. */
  private readonly last = new Map<bigint, Promise<void>>();

  constructor(private readonly assets: AssetsService) {}

  /** Those of these assets that are there and that the caller may read, in the order of the ids. */
  async read(actor: Actor, ids: readonly string[]): Promise<Asset[]> {
    const access = accessOf(actor);
    let batch = this.open.get(access);
    if (batch === undefined || batch.ids.size + ids.length > MAX_IDS) batch = this.begin(actor, access);
    for (const id of ids) batch.ids.add(id);
    const found = await batch.found;
    return ids.flatMap((id) => found.get(id) ?? []);
  }

  private begin(actor: Actor, access: string): Batch {
    const { ownerId } = actor;
    const ids = new Set<string>();
    const previous = this.last.get(ownerId) ?? Promise.resolve();
    const found = previous.then(async () => {
      if (this.open.get(access) === batch) this.open.delete(access);
      const assets = await this.assets.findAll(actor, [...ids]);
      return new Map(assets.map((asset) => [asset.id, asset]));
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
