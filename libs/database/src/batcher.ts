import { AsyncLocalStorage } from 'node:async_hooks';
import { kindOf } from '#libs/domain';

/** Limits of a {@link Batcher}. */
export interface BatcherOptions {
  /** Maximum number of batches that run concurrently. */
  readonly atOnce: number;
  /** Maximum number of items in a batch. */
  readonly most: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly within: ReturnType<typeof AsyncLocalStorage.snapshot>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Combines items of concurrent callers into batches: items that come while the maximum number of batches is running
 * wait for the next batch. A single item is sent without delay. If a batch fails, its items are retried one by one, so
 * that an item cannot fail because of another. Exception: after an `unavailable` error the outcome is unknown, so all
 * items are rejected. A batch runs in the async context of its first item.
 *
 * @example
 * const batcher = new Batcher<Row, boolean>((rows) => insertAll(rows), { atOnce: 2, most: 100 });
 * const isNew = await batcher.run(row);
 */
export class Batcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private batches = 0;
  private isScheduled = false;

  constructor(
    /** Processes a batch and returns the results in the order of the items. */
    private readonly work: (items: readonly Item[]) => Promise<readonly Result[]>,
    private readonly options: BatcherOptions,
  ) {}

  /** Adds an item to the next batch. @throws the error of its batch, or of its own retry */
  run(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, within: AsyncLocalStorage.snapshot(), resolve, reject });
      if (this.isScheduled) return;
      this.isScheduled = true;
      // setImmediate runs after the pending I/O callbacks, so items of requests that have already arrived join the
      // batch.
      setImmediate(() => {
        this.isScheduled = false;
        this.send();
      });
    });
  }

  private send(): void {
    while (this.waiting.length > 0 && this.batches < this.options.atOnce) {
      const batch = this.waiting.splice(0, this.options.most);
      this.batches++;
      void this.runBatch(batch).finally(() => {
        this.batches--;
        this.send();
      });
    }
  }

  private async runBatch(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await batch[0]!.within(() => this.work(batch.map(({ item }) => item)));
      batch.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      if (batch.length === 1 || kindOf(error) === 'unavailable') {
        for (const { reject } of batch) reject(error);
      } else {
        await Promise.all(batch.map((one) => this.runBatch([one])));
      }
    }
  }
}
