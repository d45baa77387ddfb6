import { InjectQueue } from '@nestjs/bullmq';
import { Inject, Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Database } from '#libs/database';
import { PROCESS_QUEUE } from '#libs/jobs';
import { ObjectStore } from '#libs/storage';

/** Where the storage probe looks: an answer, whatever it is, is what it wants. */
export const PROBED_BUCKET = Symbol('PROBED_BUCKET');

export interface Probe {
  readonly ok: boolean;
  /** How long it took to answer or to fail, milliseconds. */
  readonly latencyMs: number;
}

/** What the api cannot serve without. Says nothing of hosts, names or errors: anybody may ask. */
export interface Readiness {
  readonly ok: boolean;
  readonly checks: Readonly<Record<'database' | 'queue' | 'storage', Probe>>;
}

const PROBE_TIMEOUT_MS = 2_000;
/** However often it is asked, the dependencies are asked this often. */
const FRESH_MS = 1_000;

@Injectable()
export class Health {
  private last: { readonly at: number; readonly readiness: Promise<Readiness> } | undefined;

  constructor(
    private readonly database: Database,
    @InjectQueue(PROCESS_QUEUE) private readonly queue: Queue,
    private readonly store: ObjectStore,
    @Inject(PROBED_BUCKET) private readonly bucket: string,
  ) {}

  readiness(now = Date.now()): Promise<Readiness> {
    if (this.last === undefined || now - this.last.at >= FRESH_MS) {
      this.last = { at: now, readiness: this.probeAll() };
    }
    return this.last.readiness;
  }

  private async probeAll(): Promise<Readiness> {
    const [database, queue, storage] = await Promise.all([
      probe(() => this.database.ping()),
      probe(() => this.queue.isPaused()),
      probe((signal) => this.store.stat({ bucket: this.bucket, key: 'health' }, { signal })),
    ]);
    return { ok: database.ok && queue.ok && storage.ok, checks: { database, queue, storage } };
  }
}

/** Not ok when it fails, or does not answer in time. */
export async function probe(
  ask: (signal: AbortSignal) => Promise<unknown>,
  timeoutMs = PROBE_TIMEOUT_MS,
): Promise<Probe> {
  const started = performance.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const tooLate = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false)));
  const answered = ask(signal).then(
    () => true,
    () => false,
  );
  const ok = await Promise.race([answered, tooLate]);
  return { ok, latencyMs: Math.round(performance.now() - started) };
}
