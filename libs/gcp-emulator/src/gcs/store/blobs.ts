import { createHash, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { copyFile, mkdir, open, opendir, readdir, rename, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { ApiError } from '../http/errors.js';
import { release } from '../release.js';
import { ContentDigest } from './digest.js';

/** Bytes that are flushed to disk but that no row names yet. Hashes in base64, as GCS writes them; `sha256` in hex. */
export interface StagedBlob {
  id: string;
  size: number;
  md5: string;
  crc32c: string;
  sha256?: string;
}

/** Options of {@link Blobs.write}. */
export interface WriteLimits {
  /** Maximum size in bytes, inclusive. Writing stops at the first chunk that exceeds it. */
  max?: number;
  /** Also computes SHA-256, for a body whose hash is signed. */
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

/** The bytes of objects: immutable files, one per generation. A file is an object once a row of the index names it. */
export class Blobs {
  /** Folders whose creation has been flushed to disk. */
  private readonly shards = new Set<string>();

  private constructor(
    private readonly objects: string,
    private readonly temporary: string,
    private readonly onError: (error: unknown) => void,
  ) {}

  /**
   * Opens the folder and removes leftovers of a killed process: unfinished files and files `isKnown` rejects.
   * @param onError receives the errors of {@link discard}
   */
  static async open(
    dataDir: string,
    isKnown: (id: string) => boolean,
    onError: (error: unknown) => void = () => undefined,
  ): Promise<Blobs> {
    const blobs = new Blobs(path.join(dataDir, 'objects'), path.join(dataDir, 'tmp'), onError);
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
   * Streams bytes to a file and hashes them on the way. The bytes survive a power cut once this returns; no file is
   * left when the source or the disk fails. Chunks are freed after writing, so the source must not read them again.
   * @throws {ApiError} tooLarge
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
    // The folder is flushed while the bytes arrive.
    const directorySynced = syncDirectory(path.dirname(file));
    directorySynced.catch(() => undefined);
    try {
      for await (const chunk of source) {
        if (digest.size + chunk.length > max) throw new ApiError('tooLarge');
        digest.update(chunk);
        sha?.update(chunk);
        await handle.appendFile(chunk);
        release(chunk);
      }
      await Promise.all([handle.sync(), directorySynced]);
    } catch (error) {
      await handle.close();
      await rm(file, { force: true });
      throw error;
    }
    await handle.close();
    return { id, ...digest.sums(), sha256: sha?.digest('hex') };
  }

  /**
   * Opens a file that grows over several requests. It has its final name from the start and becomes an object without
   * a move. The file is truncated to `size` bytes: the bytes after them were never confirmed to the client.
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

  /** Hashes a file again from disk. */
  async digest(id: string): Promise<ContentDigest> {
    const digest = new ContentDigest();
    const bytes = fs.createReadStream(this.pathOf(id), { highWaterMark: 1024 * 1024 });
    for await (const chunk of bytes as AsyncIterable<Buffer>) digest.update(chunk);
    return digest;
  }

  /** Copies a file under a new id: a hard link, since files never change, or a copy where the disk has no links. */
  async copy(source: string): Promise<string> {
    const id = source.slice(0, 2) + randomUUID().slice(2);
    try {
      // Synchronous, in the tick that read the row, and in the source's own folder: the source may be removed later.
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
    await this.moveIntoPlace(file, id);
  }

  /** Moves a finished file to its final name. The file survives a power cut once this returns. */
  private async moveIntoPlace(file: string, id: string): Promise<void> {
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
    // A concurrent caller flushes too: it may find the folder that another caller made but has not flushed yet.
    await mkdir(shard, { recursive: true });
    await syncDirectory(this.objects);
    this.shards.add(shard);
  }

  /** Opens a file for reading. It stays readable to its end even if the object is replaced meanwhile. */
  openSync(id: string): number {
    return fs.openSync(this.pathOf(id), 'r');
  }

  async remove(id: string): Promise<void> {
    await rm(this.pathOf(id), { force: true });
  }

  /** Removes a file later, as well as possible: a file that remains is removed the next time the store is opened. */
  discard(id: string): void {
    this.remove(id).catch(this.onError);
  }
}
