import { Injectable } from '@nestjs/common';
import { StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { DueAssetsService } from './due-assets.service.js';
import { IncomingObjectsService } from './incoming-objects.service.js';

@Injectable()
export class IncomingTasks {
  constructor(
    private readonly due: DueAssetsService,
    private readonly incoming: IncomingObjectsService,
  ) {}

  /**
   * Deletes incoming objects of terminal assets that were not deleted after the transition. Most do not exist any more, so one
   * request for the current generation suffices.
   */
  @StowageTask('remove-incoming', { seconds: 10 })
  async *removeIncoming(context: TaskContext): AsyncGenerator<TaskStep> {
    for await (const { assetId } of this.due.read('incoming', context)) {
      const perform = () => this.incoming.discard(assetId, null, context.now);
      yield {
        subject: { assetId },
        examine: async () => {
          if ((await this.incoming.stat(assetId)) !== null) {
            return { action: 'delete', subject: `incoming object of asset ${assetId}`, perform };
          }
          // Records that there is none.
          if (!context.isDryRun) await perform();
          return null;
        },
      };
    }
  }
}
