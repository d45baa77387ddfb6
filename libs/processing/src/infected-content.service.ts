import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AssetTransitionsService } from '#libs/assets';
import { incomingGone, type InfectedObject, QuarantineService, StoredObjectsRepository } from '#libs/content';
import { Clock } from '#libs/database';
import { type ObjectVersion, quarantineKey } from '#libs/domain';
import { inPages, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';

const BATCH = 100;

/** Takes infected content away: rejects its assets and quarantines its bytes. Every step can be repeated. */
@Injectable()
export class InfectedContentService {
  constructor(
    private readonly objects: StoredObjectsRepository,
    private readonly quarantine: QuarantineService,
    private readonly transitions: AssetTransitionsService,
    private readonly clock: Clock,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(InfectedContentService.name);
  }

  /**
   * Quarantines the bytes of an upload, and the stored object with equal content, which was stored before a scanner recognised it.
   * @throws StowageError not-found INCOMING_GONE
   */
  async quarantineUpload(
    from: ObjectVersion,
    sha256: string,
    scope: string,
    signal?: AbortSignal,
  ): Promise<void> {
    if (!(await this.quarantine.copy(from, quarantineKey(sha256), signal))) throw incomingGone();
    const id = await this.objects.markInfected({ scope, sha256 });
    if (id !== null) await this.finish({ id, sha256 }, this.clock.now());
  }

  /** Quarantines a stored object, unless another worker has begun to. */
  async quarantineObject(object: InfectedObject, now: Date): Promise<void> {
    const id = await this.objects.markInfected({ id: object.id });
    if (id !== null) await this.finish(object, now);
  }

  /** Finishes quarantines that a worker began and did not finish. */
  @StowageTask('quarantine', { seconds: 10 })
  async *resume({ now }: TaskContext): AsyncGenerator<TaskStep> {
    const page = (after?: InfectedObject) => this.objects.unfinishedQuarantines(after?.id ?? 0n, BATCH);
    for await (const objects of inPages(BATCH, page)) {
      for (const object of objects) {
        const perform = () => this.finish(object, now).then(() => true);
        yield {
          subject: { storedObject: String(object.id) },
          examine: () => ({ action: 'quarantine', subject: `object ${object.id}`, perform }),
        };
      }
    }
  }

  private async finish(object: InfectedObject, now: Date): Promise<void> {
    const refused = await this.transitions.condemn(object.id, now);
    await this.quarantine.removeBytes(object);
    this.logger.warn({ storedObject: String(object.id), refused }, 'stored object quarantined');
  }
}
