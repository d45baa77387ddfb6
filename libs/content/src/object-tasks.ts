import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { inPages, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { CollectionService } from './collection.service.js';
import { type Collectable, StoredObjectsRepository } from './stored-objects.repository.js';

const BATCH = 100;

@Injectable()
export class ObjectTasks {
  constructor(
    private readonly objects: StoredObjectsRepository,
    private readonly collection: CollectionService,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(ObjectTasks.name);
  }

  /** Deletes stored objects without references and pins, with their variants. */
  @StowageTask('remove-unreferenced', { seconds: 10 })
  async *removeUnreferenced({ now, signal }: TaskContext): AsyncGenerator<TaskStep> {
    for await (const objects of inPages(BATCH, (after?: Collectable) =>
      this.objects.collectable(now, BATCH, after),
    )) {
      for (const { id } of objects) {
        const storedObject = String(id);
        const perform = async () => {
          const isCollected = await this.collection.collect(id, now, signal);
          if (isCollected) this.logger.info({ storedObject }, 'object collected');
          return isCollected;
        };
        yield {
          subject: { storedObject },
          examine: () => ({ action: 'delete', subject: `object ${storedObject}`, perform }),
        };
      }
    }
  }
}
