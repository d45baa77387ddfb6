import { Injectable } from '@nestjs/common';
import { inPages, type TaskContext } from '#libs/runtime';
import { type Due, type DueAsset, DueAssetsRepository } from './due-assets.repository.js';

const BATCH = 100;
/** Assets of one owner after which a run takes no further ones of that owner. They are left for the next run. */
const MAX_PER_OWNER = 1_000;

/** Assets that tasks check. A run limits the assets per owner, so that a large owner does not delay others. */
@Injectable()
export class DueAssetsService {
  constructor(private readonly due: DueAssetsRepository) {}

  /** Reads the assets that are due, page by page; takes them for this worker unless the run is a dry run. */
  async *read(which: Due, { now, isDryRun }: TaskContext): AsyncGenerator<DueAsset> {
    const taken = new Map<bigint, number>();
    const excluded = () =>
      [...taken].filter(([, count]) => count >= MAX_PER_OWNER).map(([ownerId]) => ownerId);
    const page = (after: DueAsset | undefined) =>
      isDryRun
        ? this.due.peek(which, now, BATCH, excluded(), after)
        : this.due.take(which, now, BATCH, excluded());
    for await (const rows of inPages(BATCH, page)) {
      for (const { ownerId } of rows) taken.set(ownerId, (taken.get(ownerId) ?? 0) + 1);
      yield* rows;
    }
  }
}
