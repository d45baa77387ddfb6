import { AssetTransferService } from '#libs/assets';
import { actor, sha256, type World } from '../../../libs/testing/src/world.js';
import { assetsLeft, type FileKind, type LibraryFile, seeded, uploadReady } from './library.js';

const LIVES = 2;
const READERS = 2;
/** Owners of the assets that live and die in the background. */
const FIRST_OWNER = 5_000;
const OWNERS = 8;
/** Contents that assets of several owners share, purge and upload again. */
const SHARED = 5;
/** Kinds of damage after which the bytes are still those of the file. */
const HARMLESS: ReadonlySet<FileKind> = new Set([
  'intact',
  'count too high',
  'count too low',
  'lost copy row',
  'lost variant',
  'lost variant row',
  'quota drift',
  'same bytes again',
  'wrong type',
]);

/** Steps that all ended well, and those that did not. */
interface Log {
  readonly failures: string[];
  lives: number;
  reads: number;
}

/**
 * Clients that upload, transfer, delete, restore, purge and read at the same time as the tasks. They run until {@link stop}.
 */
export class Background {
  readonly log: Log = { failures: [], lives: 0, reads: 0 };
  /** Objects that the service has marked or repaired, so that it must never serve wrong bytes of them again. */
  private readonly known = new Set<bigint>();
  private readonly work: Promise<void>[];
  private isStopped = false;

  constructor(
    private readonly world: World,
    private readonly files: readonly LibraryFile[],
    seed: number,
  ) {
    const lives = Array.from({ length: LIVES }, (_, at) =>
      this.repeat(seed + at, (random) => this.live(at, random)),
    );
    const readers = Array.from({ length: READERS }, (_, at) =>
      this.repeat(seed + LIVES + at, (random) => this.read(random)),
    );
    this.work = [...lives, ...readers];
  }

  /** Ends all clients after their present step. */
  async stop(): Promise<Log> {
    this.isStopped = true;
    await Promise.all(this.work);
    return this.log;
  }

  private async repeat(seed: number, step: (random: () => number) => Promise<void>): Promise<void> {
    const random = seeded(seed);
    while (!this.isStopped) {
      await step(random).catch((error: unknown) =>
        this.log.failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error)),
      );
    }
  }

  /** The life of one asset. All steps must succeed, since no other client changes it. */
  private async live(client: number, random: () => number): Promise<void> {
    const { world } = this;
    const owner = () => BigInt(FIRST_OWNER + Math.floor(random() * OWNERS));
    const isShared = random() < 0.5;
    const bytes = Buffer.from(
      isShared ? `shared ${Math.floor(random() * SHARED)}` : `life ${this.log.lives} of client ${client}`,
    );
    const { id, ownerId } = await uploadReady(world, bytes, 'text/plain', owner());
    await this.expectBytes(id, ownerId, bytes);
    const next = owner();
    await world.module
      .get(AssetTransferService, { strict: false })
      .transfer(actor(ownerId, { isAdmin: true }), id, next);
    await world.removal.delete(actor(next), id);
    await world.removal.restore(actor(next), id);
    await this.expectBytes(id, next, bytes);
    if (random() < 0.8) {
      await world.removal.delete(actor(next), id);
      await world.removal.purge(actor(next), id);
    }
    this.log.lives += 1;
  }

  private async expectBytes(id: string, ownerId: bigint, bytes: Buffer): Promise<void> {
    const answer = await downloaded(this.world, id, ownerId);
    if (answer !== sha256(bytes)) throw new Error(`asset ${id} of the background is answered with ${answer}`);
  }

  /** Reads an asset of the library. Once its damage is known, it is either not served, or served with the right bytes. */
  private async read(random: () => number): Promise<void> {
    const file = this.files[Math.floor(random() * this.files.length)]!;
    const assets = assetsLeft(file);
    const asset = assets[Math.floor(random() * assets.length)];
    if (asset === undefined) return;
    const { id, ownerId } = asset;
    const isKnown = await this.isKnown(file);
    const answer = await downloaded(this.world, id, ownerId);
    this.log.reads += 1;
    if (answer === sha256(file.bytes)) return;
    if (HARMLESS.has(file.kind) || (isKnown && answer !== 'not served')) {
      throw new Error(`asset ${id} (${file.kind} ${file.index}) is answered with ${answer}`);
    }
  }

  /** Whether a finding of the object was recorded before now, and the object was marked or repaired. */
  private async isKnown({ objectId }: LibraryFile): Promise<boolean> {
    if (this.known.has(objectId)) return true;
    const { prisma } = this.world.database;
    const marked = await prisma.storedObject.count({ where: { id: objectId, state: 'CORRUPT' } });
    const repaired = await prisma.integrityFinding.count({
      where: { storedObjectId: objectId, repaired: true },
    });
    if (marked + repaired > 0) this.known.add(objectId);
    return marked + repaired > 0;
  }
}

/** Downloads an asset. @returns the hash of the bytes, `not served` for an asset without a URL, or the failure */
export async function downloaded(world: World, id: string, ownerId: bigint): Promise<string> {
  const asset = await world.assets.findWithoutAccessCheck(id);
  if (asset === null) return 'no such asset';
  const signed = await world.urls.sign(actor(ownerId), asset, 60, 'ATTACHMENT');
  if (signed === null) return 'not served';
  try {
    const response = await fetch(signed.url);
    const body = Buffer.from(await response.arrayBuffer());
    return response.status === 200 ? sha256(body) : `status ${response.status}`;
  } catch (error) {
    return `failed: ${String(error)}`;
  }
}
