import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { copyFile, mkdir, open, opendir, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { ApiError } from '../http/errors.js';
import { release } from '../release.js';
import { ContentDigest } from './digest.js';

/** Bytes that are on disk for good but that no row knows yet. Hashes in base64, as GCS writes them; `sha256` in hex. */
export interface StagedBlob {
  id: string;
  size: number;
  md5: string;
  crc32c: string;
  sha256?: string;
}

export interface WriteLimits {
  /** Bytes, inclusive. Writing stops as soon as there are more. */
  max?: number;
  /** Also hash with SHA-256, for a body whose hash is signed. */
  sha256?: boolean;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The bytes of objects: immutable files, one per generation. A file becomes an object when a row of the index names it. */
export class Blobs {
  /** Folders that are there for good. */
  private readonly shards = new Set<string>();

  private constructor(
    private readonly objects: string,
    private readonly temporary: string,
  ) {}

  /** Opens the folder and removes what a killed process left: unfinished files, and files `isKnown` denies. */
  static async open(dataDir: string, isKnown: (id: string) => boolean): Promise<Blobs> {
    const blobs = new Blobs(path.join(dataDir, 'objects'), path.join(dataDir, 'tmp'));
    await rm(blobs.temporary, { recursive: true, force: true });
    await mkdir(blobs.temporary, { recursive: true });
    await mkdir(blobs.objects, { recursive: true });
    for (const shard of await readdir(blobs.objects, { withFileTypes: true })) {
      if (!shard.isDirectory()) continue;
      for await (const entry of await opendir(path.join(blobs.objects, shard.name))) {
        if (!isKnown(entry.name)) await blobs.remove(entry.name);
      }
    }
    return blobs;
  }

  private pathOf(id: string): string {
    return path.join(this.objects, id.slice(0, 2), id);
  }

  /**
   * Streams bytes to disk, at their place from the start, hashing on the way. Nothing is left behind when the source or the disk
   * fails; they outlive a power cut once this returns. No chunk may be looked at after the next is asked for.
   */
  async write(
    source: AsyncIterable<Buffer>,
    { max = Infinity, sha256 }: WriteLimits = {},
  ): Promise<StagedBlob> {
    const id = randomUUID();
    const file = this.pathOf(id);
    await this.makeShard(id);
    const digest = new ContentDigest();
    const sha = sha256 ? createHash('sha256') : undefined;
    const handle = await open(file, 'wx');
    // While the bytes arrive.
    const named = syncDirectory(path.dirname(file));
    named.catch(() => undefined);
    try {
      for await (const chunk of source) {
        if (digest.size + chunk.length > max) throw new ApiError('tooLarge');
        digest.update(chunk);
        sha?.update(chunk);
        await handle.appendFile(chunk);
        release(chunk);
      }
      await Promise.all([handle.sync(), named]);
    } catch (error) {
      await handle.close();
      await rm(file, { force: true });
      throw error;
    }
    await handle.close();
    return { id, ...digest.sums(), sha256: sha?.digest('hex') };
  }

  /**
   * Opens a file that grows over several requests, at its place from the start: it becomes an object without being moved. Cut to
   * `size`, since whatever lies behind was never confirmed.
   */
  async openToAppend(id: string, size: number): Promise<FileHandle> {
    await this.makeShard(id);
    const handle = await open(this.pathOf(id), 'a');
    try {
      if ((await handle.stat()).size < size) throw new Error(`the file ${id} lost bytes that were on disk`);
      await handle.truncate(size);
      if (size === 0) await syncDirectory(path.dirname(this.pathOf(id)));
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Reads a file back. */
  async digest(id: string): Promise<ContentDigest> {
    const digest = new ContentDigest();
    const bytes = fs.createReadStream(this.pathOf(id), { highWaterMark: 1024 * 1024 });
    for await (const chunk of bytes as AsyncIterable<Buffer>) digest.update(chunk);
    return digest;
  }

  /** The same bytes under a second name: a hard link, since files never change; a copy where the disk has no links. */
  async copy(source: string): Promise<string> {
    const id = source.slice(0, 2) + randomUUID().slice(2);
    try {
      // At once, in the tick that read the row and in a folder that is there: later the source may be gone.
      fs.linkSync(this.pathOf(source), this.pathOf(id));
      await syncDirectory(path.dirname(this.pathOf(id)));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK') throw error;
      await this.copyBytes(source, id);
    }
    return id;
  }

  private async copyBytes(source: string, id: string): Promise<void> {
    const file = path.join(this.temporary, id);
    try {
      await copyFile(this.pathOf(source), file, fs.constants.COPYFILE_FICLONE);
      const handle = await open(file, 'r+');
      await handle.sync().finally(() => handle.close());
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
    await this.adopt(file, id);
  }

  /** Moves a finished file to its place; it outlives a power cut once this returns. */
  private async adopt(file: string, id: string): Promise<void> {
    const target = this.pathOf(id);
    try {
      await this.makeShard(id);
      await rename(file, target);
      await syncDirectory(path.dirname(target));
    } catch (error) {
      await rm(file, { force: true });
      await rm(target, { force: true });
      throw error;
    }
  }

  /** Files are spread over 256 folders by the first byte of their id. */
  private async makeShard(id: string): Promise<void> {
    const shard = path.dirname(this.pathOf(id));
    if (this.shards.has(shard)) return;
    // Whoever comes at the same time must not go on before it is on disk either, whichever of the two has made it.
    await mkdir(shard, { recursive: true });
    await syncDirectory(this.objects);
    this.shards.add(shard);
  }

  /** Opens a file for reading; it can be read to its end even when the object is replaced meanwhile. */
  openSync(id: string): number {
    return fs.openSync(this.pathOf(id), 'r');
  }

  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }
}
