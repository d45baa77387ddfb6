import { randomBytes } from 'node:crypto';
import { chmod, type FileHandle, mkdir, open, readdir, rm, stat, statfs, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { unavailable } from '#libs/domain';
import { InspectionConfig } from '#libs/inspection';
import { ProcessingConfig } from './processing.config.js';

/** Chunks are collected to this size before a write, because each write is a round trip to the thread pool. */
const WRITE_BYTES = 512 * 1024;
/** Lets other users, such as sandboxed readers, open files by name but not list the folder. */
const FOLDER_MODE = 0o711;
const FILE_MODE = 0o644;
/** Part of the folder's name, because containers that share a spool folder may have equal process ids. */
const HOST = hostname().replaceAll(/[^\w-]/g, '-');
/** Age after which the folder of another host is deleted, since this host cannot check whether its process is alive. */
const FOREIGN_MS = 24 * 3_600_000;

interface Disk {
  readonly sizeBytes: number;
  readonly freeBytes: number;
}

interface Waiting {
  readonly bytes: number;
  readonly admit: () => void;
}

/**
 * Files on disk while they are inspected. Space for a whole file is reserved before the file is read, in the order of the requests,
 * so that concurrent files cannot fill the disk together.
 */
@Injectable()
export class Spool implements OnModuleInit, OnApplicationShutdown {
  private readonly folder: string;
  private readonly waiting: Waiting[] = [];
  private readonly files = new Set<SpoolFile>();
  private reservedBytes = 0;
  private capacity: number;
  private prepared: Promise<void> | undefined;

  constructor(
    private readonly config: ProcessingConfig,
    private readonly inspection: InspectionConfig,
  ) {
    this.capacity = config.spoolBytes;
    this.folder = path.join(inspection.spoolFolder, `${HOST}.${process.pid}`);
  }

  onModuleInit(): Promise<void> {
    return (this.prepared ??= this.prepare());
  }

  /** Creates the folder of this process, and deletes the folders of processes that have ended or were killed. */
  private async prepare(): Promise<void> {
    const { spoolFolder } = this.inspection;
    await mkdir(spoolFolder, { recursive: true });
    // Overrides the umask. Fails harmlessly when another user owns the folder.
    await chmod(spoolFolder, FOLDER_MODE).catch(() => undefined);
    for (const name of await readdir(spoolFolder)) {
      const folder = path.join(spoolFolder, name);
      if (await isLeftover(folder)) await rm(folder, { recursive: true, force: true });
    }
    await mkdir(this.folder, { recursive: true, mode: FOLDER_MODE });
    // Limits the capacity by the size of the disk, not by its free space, which may grow later.
    const { sizeBytes } = await this.disk();
    this.capacity = Math.min(this.config.spoolBytes, sizeBytes);
  }

  protected async disk(): Promise<Disk> {
    const { blocks, bavail, bsize } = await statfs(this.inspection.spoolFolder);
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  async onApplicationShutdown(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Whether a file of this size can ever be spooled. */
  fits(bytes: number): boolean {
    return bytes <= this.capacity;
  }

  /**
   * Waits until space for a file is available, and reserves it. The caller must dispose the file, which releases the space.
   * @param bytes size of the whole file
   * @throws StowageError unavailable SPOOL_FULL when other programs have filled the disk
   * @throws the reason of the signal when that aborts
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<SpoolFile> {
    await this.onModuleInit();
    signal?.throwIfAborted();
    if (!this.fits(bytes)) throw new RangeError('the file exceeds the capacity of the spool');
    if (this.waiting.length > 0 || this.reservedBytes + bytes > this.capacity) {
      await this.waitForSpace(bytes, signal);
    } else {
      this.reservedBytes += bytes;
    }
    const filePath = path.join(this.folder, randomBytes(16).toString('hex'));
    const file = new SpoolFile(filePath, bytes, () => this.release(file));
    this.files.add(file);
    try {
      await this.checkFreeSpace();
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
    return file;
  }

  /** Checks the free space for all reserved bytes that are not written yet, since other programs use the disk too. */
  private async checkFreeSpace(): Promise<void> {
    const { freeBytes } = await this.disk();
    const remaining = [...this.files].reduce((sum, { remainingBytes }) => sum + remainingBytes, 0);
    if (remaining > freeBytes) throw spoolFull();
  }

  private waitForSpace(bytes: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal?.removeEventListener('abort', cancel);
        resolve();
      };
      const entry = { bytes, admit };
      const cancel = () => {
        this.waiting.splice(this.waiting.indexOf(entry), 1);
        this.admitNext();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', cancel, { once: true });
      this.waiting.push(entry);
    });
  }

  private release(file: SpoolFile): void {
    this.files.delete(file);
    this.reservedBytes -= file.bytes;
    this.admitNext();
  }

  private admitNext(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (this.reservedBytes + next.bytes > this.capacity) return;
      this.waiting.shift();
      this.reservedBytes += next.bytes;
      next.admit();
    }
  }
}

/** A reservation of disk space for one file, and the file itself. */
export class SpoolFile implements AsyncDisposable {
  private handle: FileHandle | undefined;
  private isCreated = false;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  /** Reserved bytes that were not added yet. */
  remainingBytes: number;
  private disposed = false;

  constructor(
    readonly path: string,
    readonly bytes: number,
    private readonly release: () => void,
  ) {
    this.remainingBytes = bytes;
  }

  /**
   * Appends a chunk to the file.
   * @param onWritten called with each chunk after it is written; a chunk must not be changed before
   * @throws StowageError unavailable SPOOL_FULL when the disk is full
   * @throws RangeError when the file exceeds its reservation
   */
  async add(chunk: Buffer, onWritten: (chunk: Buffer) => void): Promise<void> {
    this.remainingBytes -= chunk.length;
    if (this.remainingBytes < 0) throw new RangeError('the file exceeds its reservation');
    this.pending.push(chunk);
    this.pendingBytes += chunk.length;
    if (this.pendingBytes >= WRITE_BYTES) await this.flush(onWritten);
  }

  /** Writes the remaining chunks and closes the file. */
  async finish(): Promise<void> {
    await this.flush(() => undefined);
    await this.handle?.close();
    this.handle = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    this.pending = [];
    try {
      await this.handle?.close();
      // A file that needed no reader was never created.
      if (this.isCreated) await unlink(this.path).catch(unlessMissing);
    } finally {
      this.release();
    }
  }

  private async create(): Promise<FileHandle> {
    this.isCreated = true;
    const handle = await this.open();
    await handle.chmod(FILE_MODE);
    return handle;
  }

  private async open(): Promise<FileHandle> {
    try {
      return await open(this.path, 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // A process on another host deleted the folder of this idle process as a leftover.
      await mkdir(path.dirname(this.path), { recursive: true, mode: FOLDER_MODE });
      return open(this.path, 'wx');
    }
  }

  private async flush(onWritten: (chunk: Buffer) => void): Promise<void> {
    const chunks = this.pending;
    this.pending = [];
    this.pendingBytes = 0;
    try {
      this.handle ??= await this.create();
      await writeAll(this.handle, chunks);
    } catch (error) {
      if (['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) {
        throw spoolFull(error);
      }
      throw error;
    }
    for (const chunk of chunks) onWritten(chunk);
  }
}

const spoolFull = (cause?: unknown) =>
  unavailable('SPOOL_FULL', 'There is not enough disk space to inspect the file.', cause);

/** The shutdown of this process may delete the folder before its files. */
function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

async function writeAll(handle: FileHandle, chunks: readonly Buffer[]): Promise<void> {
  let rest = chunks.filter(({ length }) => length > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest);
    // A disk that is nearly full accepts only a part of the write.
    rest = rest.flatMap((chunk) => {
      const written = Math.min(bytesWritten, chunk.length);
      bytesWritten -= written;
      return written === chunk.length ? [] : [chunk.subarray(written)];
    });
  }
}

async function isLeftover(folder: string): Promise<boolean> {
  const [, host, pid] = /^([\w-]+)\.(\d+)$/.exec(path.basename(folder)) ?? [];
  if (pid === undefined) return false;
  if (host === HOST) return !isAlive(Number(pid));
  const found = await stat(folder).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > FOREIGN_MS;
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
