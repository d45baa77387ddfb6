import type { ObjectVersion } from '#libs/domain';
import { CONTENT, INCOMING, type World } from '../../libs/testing/src/world.js';
import { claim } from './invariants.js';

/** The object by which the content bucket recognises the database. */
const MARKER = 'stowage-installation';

/**
 * Objects in the buckets and the checksums of their bytes. Every write and delete is recorded here, so that the test need
 * not list the buckets after each step; {@link check} compares the records with storage now and then.
 */
export class Inventory {
  /** Content objects that were seen without a row, as a crash may leave them. */
  readonly strays = new Set<string>();
  /** Generations by key. */
  private readonly present = { incoming: new Map<string, string>(), content: new Map<string, string>() };
  private readonly sums = new Map<string, string>();
  private readonly deletions = new Set<string>();
  private readonly sent = new Set<string>();

  get incoming(): ReadonlyMap<string, string> {
    return this.present.incoming;
  }

  get content(): ReadonlyMap<string, string> {
    return this.present.content;
  }

  /** Whether a client ever sent bytes for the asset. */
  hasSent(assetId: string): boolean {
    return this.sent.has(assetId);
  }

  sumAt(bucket: string, generation: string): string | undefined {
    return this.sums.get(`${bucket} ${generation}`);
  }

  written({ bucket, key, version }: ObjectVersion, sum: string): void {
    this.sums.set(`${bucket} ${version}`, sum);
    const objects = this.in(bucket);
    if (bucket === INCOMING) this.sent.add(key);
    // Answers may arrive in another order than their effects.
    const isLatest = BigInt(version) > BigInt(objects.get(key) ?? 0);
    if (isLatest && !this.deletions.has(`${bucket} ${version}`)) objects.set(key, version);
  }

  copied(from: ObjectVersion, to: ObjectVersion): void {
    this.written(to, this.sumAt(from.bucket, from.version) ?? 'unknown bytes');
  }

  deleted({ bucket, key, version }: ObjectVersion): void {
    this.deletions.add(`${bucket} ${version}`);
    if (this.in(bucket).get(key) === version) this.in(bucket).delete(key);
  }

  /** Deletes all objects in the buckets. */
  async clear(world: World): Promise<void> {
    for (const bucket of [INCOMING, CONTENT]) {
      const [files] = await world.emulators.client.bucket(bucket).getFiles();
      for (const file of files) if (file.name !== MARKER) await file.delete();
      this.in(bucket).clear();
    }
    this.strays.clear();
  }

  /** Compares the inventory with storage. */
  async check(world: World): Promise<void> {
    for (const bucket of [INCOMING, CONTENT]) {
      const [files] = await world.emulators.client.bucket(bucket).getFiles();
      const stored = files
        .filter(({ name }) => name !== MARKER)
        .map(({ name, metadata }) => `${name} ${metadata.generation}`)
        .sort();
      const recorded = [...this.in(bucket)].map(([key, generation]) => `${key} ${generation}`).sort();
      claim(String(stored) === String(recorded), 'the buckets differ from the inventory', {
        stored,
        recorded,
      });
    }
  }

  private in(bucket: string): Map<string, string> {
    return bucket === INCOMING ? this.present.incoming : this.present.content;
  }
}
