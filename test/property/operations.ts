import { getQueueToken } from '@nestjs/bullmq';
import type { Queue } from 'bullmq';
import { StowageError } from '#libs/domain';
import { PROCESS_QUEUE } from '#libs/queue';
import type { UploadTicket } from '#libs/upload';
import { actor, CONTENT, INCOMING, sha256, type World } from '../../libs/testing/src/world.js';
import { bytesOf, type ResolvedOperation, type Slot, sumOf, wrongBytesOf } from './resolved-operations.js';
import { Crash } from './effects.js';
import type { Inventory } from './inventory.js';
import type { TaskName } from './steps.js';
import { LIMIT_MS } from '../../libs/testing/src/until.js';

/** Performs the operations of clients, storage events, workers, operators and tasks. */
export class Operations {
  /** Keys whose events have not been delivered. */
  readonly undelivered = new Set<string>();
  /** Session URLs that clients received, with their assets. */
  private readonly sessions = new Map<string, string>();
  private readonly queue: Queue;

  constructor(
    private readonly world: World,
    private readonly inventory: Inventory,
  ) {
    this.queue = world.module.get<Queue>(getQueueToken(PROCESS_QUEUE), { strict: false });
  }

  async perform({ operation, slots, assetId, job, letter }: ResolvedOperation): Promise<void> {
    const { world } = this;
    if (operation.do === 'request') return this.request(slots);
    if (operation.do === 'task') return this.task(operation.name, operation.isDryRun);
    const [slot] = slots;
    if (slot === undefined || assetId === null) return;
    const by = actor(BigInt(slot.owner));
    switch (operation.do) {
      case 'put':
        return this.put(slot, assetId, operation.body === 'right' ? bytesOf(slot) : wrongBytesOf(slot));
      case 'notify':
        // An early event is not acknowledged, so it is delivered again.
        if ((await world.completion.checkObject(assetId)) !== 'early') this.undelivered.delete(assetId);
        return;
      case 'work':
      case 'die':
        return job === null ? undefined : this.work(job, operation.do);
      case 'renew':
        slot.ticket = await world.uploads.renew(by, assetId);
        this.note(assetId, slot.ticket);
        return;
      case 'complete':
      case 'cancel':
        await world.uploads[operation.do](by, assetId);
        return;
      case 'delete':
      case 'restore':
      case 'purge':
        await world.removal[operation.do](by, assetId);
        return;
      case 'vanish':
        return this.vanish(assetId);
      case 'revive':
      case 'dismiss':
        return letter === null ? undefined : this.decide(BigInt(letter), operation.do);
      case 'advance':
        throw new Error('advance must be resolved before it is performed');
    }
  }

  private async request(slots: readonly Slot[]): Promise<void> {
    const uploads = slots.map((slot) => ({
      filename: slot.filename,
      mimeType: 'text/plain',
      sizeBytes: bytesOf(slot).length,
      checksumSha256: sumOf(slot),
      method: slot.item.method,
      idempotencyKey: slot.key,
    }));
    const results = await this.world.uploads.requestAll(actor(BigInt(slots[0]!.owner)), uploads, 'property');
    results.forEach((result, index) => {
      const slot = slots[index]!;
      if (result instanceof StowageError) {
        slot.answer = result.reason;
        return;
      }
      slot.answer = result.asset.status;
      slot.assetId = result.asset.id;
      slot.ticket = result.ticket;
      this.note(result.asset.id, result.ticket);
    });
  }

  private note(assetId: string, ticket: UploadTicket | null): void {
    if (ticket?.protocol === 'GCS_RESUMABLE') this.sessions.set(ticket.url, assetId);
  }

  /** Returns the assets for which a client holds a session that accepts bytes. */
  async liveSessions(): Promise<string[]> {
    const states = await Promise.all(
      [...this.sessions].map(async ([url, assetId]) => ({
        assetId,
        state: await this.world.sessions.stateOf(url),
      })),
    );
    return states.filter(({ state }) => state === 'open').map(({ assetId }) => assetId);
  }

  /** Sends one PUT as the ticket says. A resumable upload sends it to its session. */
  private async put(slot: Slot, assetId: string, bytes: Buffer): Promise<void> {
    const { ticket } = slot;
    if (ticket === null) return;
    const response = await fetch(ticket.url, {
      method: ticket.httpMethod,
      headers: Object.fromEntries(ticket.headers.map(({ name, value }) => [name, value])),
      body: new Uint8Array(bytes),
      redirect: 'manual',
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    const answer = await response.text();
    if (response.status !== 200) return;
    const generation =
      response.headers.get('x-goog-generation') ?? (JSON.parse(answer) as { generation: string }).generation;
    // A finished session answers with the object that it created before.
    if (this.inventory.sumAt(INCOMING, generation) !== undefined) return;
    this.inventory.written({ bucket: INCOMING, key: assetId, version: generation }, sha256(bytes));
    this.undelivered.add(assetId);
  }

  /** Processes a job like the queue: a postponed job, and a job whose worker died, stay in the queue. */
  private async work(
    { jobId, ...job }: NonNullable<ResolvedOperation['job']>,
    how: 'work' | 'die',
  ): Promise<void> {
    try {
      if (how === 'die') await this.world.processing.crashed(job, 3);
      else await this.world.process(job);
    } catch (error) {
      if (error instanceof Crash || (error instanceof StowageError && error.kind === 'unavailable'))
        throw error;
      if (jobId !== null) await this.queue.remove(jobId);
      throw error;
    }
    if (jobId !== null) await this.queue.remove(jobId);
  }

  private async task(name: TaskName, isDryRun: boolean): Promise<void> {
    const { outcome, error } = await this.world.runTask(name, { isDryRun });
    if (outcome !== 'succeeded') throw error;
  }

  private async vanish(assetId: string): Promise<void> {
    const version = this.inventory.incoming.get(assetId);
    if (version === undefined) return;
    const file = this.world.emulators.client.bucket(INCOMING).file(assetId);
    await file.delete({ ifGenerationMatch: version, ignoreNotFound: true });
    this.inventory.deleted({ bucket: INCOMING, key: assetId, version });
  }

  private async decide(id: bigint, how: 'revive' | 'dismiss'): Promise<void> {
    const { deadLetters, failedAssetRetry, database } = this.world;
    if (how === 'dismiss') {
      await database.transaction((tx) => deadLetters.close(tx, id, 'DISCARDED'));
      return;
    }
    const found = await database.prisma.deadLetter.findUnique({ where: { id } });
    if (found?.state === 'OPEN') await failedAssetRetry.retry(found);
  }

  /** Returns the SHA-256 of the bytes that readers get under a content key. */
  async servedSum(key: string): Promise<string> {
    const [bytes] = await this.world.emulators.client
      .bucket(CONTENT)
      .file(key)
      .download({ validation: false });
    return sha256(bytes);
  }
}
