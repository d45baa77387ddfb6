import type { Actor } from '#libs/domain';
import { KeyedRateLimiter } from '#libs/runtime';
import type { Asset } from './asset.js';
import type { AssetsService } from './assets.service.js';

/** Ids that one statement reads at most. */
const MAX_IDS = 500;
/** Statements of one owner per second, and in one burst: enough for the shares of several thousand watched assets. */
const STATEMENTS_PER_SECOND = 20;

/**
 * Why assets are read: they may have changed, or access by shares is read again. Statements of the two causes alternate, so that reads
 * of shares delay a change by two statements at most, whatever number of assets the owner watches.
 */
export type ReadCause = 'change' | 'shares';

interface Found {
  readonly assets: ReadonlyMap<string, Asset>;
  readonly readAt: number;
}

/** Assets that the caller could read when their statement began, in milliseconds of `performance.now()`. */
export interface OwnerRead {
  readonly assets: readonly Asset[];
  readonly readAt: number;
}

/** One statement that waits, and accepts further ids meanwhile. */
class Batch {
  readonly ids = new Set<string>();
  private readonly result = Promise.withResolvers<Found>();

  constructor(
    private readonly actor: Actor,
    readonly access: string,
  ) {}

  get found(): Promise<Found> {
    return this.result.promise;
  }

  /** Never rejects. */
  async run(service: AssetsService): Promise<void> {
    const readAt = performance.now();
    try {
      const assets = await service.findAll(this.actor, [...this.ids]);
      this.result.resolve({ assets: new Map(assets.map((asset) => [asset.id, asset])), readAt });
    } catch (error) {
      this.result.reject(error);
    }
  }
}

type Queues = Readonly<Record<ReadCause, Batch[]>>;

/** The fields of a caller on which access depends. */
const accessOf = ({ ownerId, groups, isAdmin }: Actor) => JSON.stringify([String(ownerId), groups, isAdmin]);

/**
 * Reads assets for subscriptions: one statement at a time for each owner, at a limited rate. Reads that are requested before their
 * statement begins share it if their callers have equal rights.
 */
export class OwnerReads {
  /** Waiting statements of each owner with a running one. */
  private readonly queues = new Map<bigint, Queues>();

  constructor(
    private readonly assets: AssetsService,
    private readonly rateLimiter = new KeyedRateLimiter<bigint>(STATEMENTS_PER_SECOND),
  ) {}

  /**
   * The assets that exist and that the caller may read, in the order of the ids.
   * @param ids at most 500
   * @throws StowageError unavailable
   */
  async read(actor: Actor, ids: readonly string[], cause: ReadCause = 'change'): Promise<OwnerRead> {
    const access = accessOf(actor);
    const running = this.queues.get(actor.ownerId);
    const queues = running ?? { change: [], shares: [] };
    const batches = queues[cause];
    let batch = batches.find((each) => each.access === access && each.ids.size + ids.length <= MAX_IDS);
    if (batch === undefined) batches.push((batch = new Batch(actor, access)));
    for (const id of ids) batch.ids.add(id);
    if (running === undefined) void this.run(actor.ownerId, queues);
    const { assets, readAt } = await batch.found;
    return { assets: ids.flatMap((id) => assets.get(id) ?? []), readAt };
  }

  private async run(ownerId: bigint, queues: Queues): Promise<void> {
    this.queues.set(ownerId, queues);
    let [next, other] = [queues.change, queues.shares];
    while (next.length + other.length > 0) {
      // Batches accept ids until their statement begins, so this wait makes the statements of a busy owner larger, not more.
      await this.rateLimiter.take(ownerId);
      await (next.shift() ?? other.shift())!.run(this.assets);
      [next, other] = [other, next];
    }
    this.queues.delete(ownerId);
  }
}
