import { randomBytes } from 'node:crypto';
import { chmod, type FileHandle, mkdir, open, readdir, rm, stat, statfs, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { unavailable } from '#libs/domain';
import { PIPELINE_OPTIONS, type PipelineOptions } from './processing.options.js';

/** Chunks are written together: each write is a trip to another thread. */
const WRITE_BYTES = 512 * 1024;
/** Others may pass through and read what they know the name of, but not look around: those who look into files. */
const FOLDER_MODE = 0o711;
const FILE_MODE = 0o644;
/** Containers that share a folder number their processes alike. */
const HOST = hostname().replaceAll(/[^\w-]/g, '-');
/** Nobody here can tell whether a process of another host lives. */
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
 * Files on disk while they are looked into. Room for all of a file is taken before it is read, first come first served, so that
 * no number of files can fill the disk between them.
 */
@Injectable()
export class Spool implements OnModuleInit, OnApplicationShutdown {
  private readonly folder: string;
  private readonly waiting: Waiting[] = [];
  private readonly rooms = new Set<SpoolFile>();
  private taken = 0;
  private capacity: number;
  private prepared: Promise<void> | undefined;

  constructor(@Inject(PIPELINE_OPTIONS) private readonly options: PipelineOptions) {
    this.capacity = options.spoolBytes;
    this.folder = path.join(options.spoolFolder, `${HOST}.${process.pid}`);
  }

  onModuleInit(): Promise<void> {
    return (this.prepared ??= this.prepare());
  }

  /** Removes what processes that are no more have left, those that were killed among them. */
  private async prepare(): Promise<void> {
    const { spoolFolder } = this.options;
    await mkdir(spoolFolder, { recursive: true });
    // Whatever the umask is, or whoever has made it; not ours, it is left as it is.
    await chmod(spoolFolder, FOLDER_MODE).catch(() => undefined);
    for (const name of await readdir(spoolFolder)) {
      const folder = path.join(spoolFolder, name);
      if (await isLeftover(folder)) await rm(folder, { recursive: true, force: true });
    }
    await mkdir(this.folder, { recursive: true, mode: FOLDER_MODE });
    // What the disk never has cannot be waited for; what it has not just now can.
    const { sizeBytes } = await this.disk();
    this.capacity = Math.min(this.options.spoolBytes, sizeBytes);
  }

  protected async disk(): Promise<Disk> {
    const { blocks, bavail, bsize } = await statfs(this.options.spoolFolder);
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  }

  async onApplicationShutdown(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Whether there can ever be room for so much. */
  fits(bytes: number): boolean {
    return bytes <= this.capacity;
  }

  /**
   * Waits for room. Whoever gets it disposes of it.
   * @throws StowageError unavailable SPOOL_FULL when others have left too little of the disk; the signal's reason
   */
  async reserve(bytes: number, signal?: AbortSignal): Promise<SpoolFile> {
    await this.onModuleInit();
    signal?.throwIfAborted();
    if (!this.fits(bytes)) throw new RangeError('there is no room for the file');
    if (this.waiting.length > 0 || this.taken + bytes > this.capacity) {
      await this.turn(bytes, signal);
    } else {
      this.taken += bytes;
    }
    const file = path.join(this.folder, randomBytes(16).toString('hex'));
    const room = new SpoolFile(file, bytes, () => this.release(room));
    this.rooms.add(room);
    try {
      await this.mustBeThere();
    } catch (error) {
      await room[Symbol.asyncDispose]();
      throw error;
    }
    return room;
  }

  /** Whether the disk has what was promised and is not written yet: others write there too. */
  private async mustBeThere(): Promise<void> {
    const { freeBytes } = await this.disk();
    const unwritten = [...this.rooms].reduce((sum, { left }) => sum + left, 0);
    if (unwritten > freeBytes) throw spoolFull();
  }

  private turn(bytes: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const admit = () => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const entry = { bytes, admit };
      const giveUp = () => {
        this.waiting.splice(this.waiting.indexOf(entry), 1);
        this.admitNext();
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.waiting.push(entry);
    });
  }

  private release(room: SpoolFile): void {
    this.rooms.delete(room);
    this.taken -= room.bytes;
    this.admitNext();
  }

  private admitNext(): void {
    for (let next = this.waiting[0]; next !== undefined; next = this.waiting[0]) {
      if (this.taken + next.bytes > this.capacity) return;
      this.waiting.shift();
      this.taken += next.bytes;
      next.admit();
    }
  }
}

/** Room for one file, and the file. */
export class SpoolFile implements AsyncDisposable {
  private handle: FileHandle | undefined;
  private isCreated = false;
  private pending: Buffer[] = [];
  private pendingBytes = 0;
  /** Of it, what nothing was put in yet. */
  left: number;
  private disposed = false;

  constructor(
    readonly path: string,
    readonly bytes: number,
    private readonly release: () => void,
  ) {
    this.left = bytes;
  }

  /**
   * Adds to the file. The chunk is not to be changed before `spent` is called with it.
   * @throws StowageError unavailable SPOOL_FULL when the disk is
   */
  async add(chunk: Buffer, spent: (chunk: Buffer) => void): Promise<void> {
    this.left -= chunk.length;
    if (this.left < 0) throw new RangeError('the file is larger than its room');
    this.pending.push(chunk);
    this.pendingBytes += chunk.length;
    if (this.pendingBytes >= WRITE_BYTES) await this.flush(spent);
  }

  /** The file is whole. */
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
      // What nobody turned out to look into was never written.
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
      // A process of another host took the folder of one that was idle for a leftover.
      await mkdir(path.dirname(this.path), { recursive: true, mode: FOLDER_MODE });
      return open(this.path, 'wx');
    }
  }

  private async flush(spent: (chunk: Buffer) => void): Promise<void> {
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
    for (const chunk of chunks) spent(chunk);
  }
}

const spoolFull = (cause?: unknown) =>
  unavailable('SPOOL_FULL', 'There is no room on disk to look into the file.', cause);

/** The folder goes first when this process stops. */
function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

async function writeAll(handle: FileHandle, chunks: readonly Buffer[]): Promise<void> {
  let rest = chunks.filter(({ length }) => length > 0);
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest);
    // A disk that is nearly full takes a part.
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
