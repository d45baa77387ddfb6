import { AsyncLocalStorage } from 'node:async_hooks';
import { kindOf } from '#libs/domain';

export interface BatcherOptions {
  /** Batches on their way at a time. */
  readonly atOnce: number;
  /** Items in a batch. */
  readonly most: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly within: ReturnType<typeof AsyncLocalStorage.snapshot>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Does together what many ask for at the same time: whoever comes while batches are on their way waits for the next. Who comes
 * alone waits for nobody. What fails together is done one by one, so that nobody fails for another's item; unless it is
 * `unavailable`, when nobody knows what was done, and all are told. A batch runs in the async context of its first item.
 */
export class Batcher<Item, Result> {
  private waiting: Waiting<Item, Result>[] = [];
  private batches = 0;
  private isDue = false;

  constructor(
    /** Answers in the order of the items. */
    private readonly work: (items: readonly Item[]) => Promise<readonly Result[]>,
    private readonly options: BatcherOptions,
  ) {}

  run(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ item, within: AsyncLocalStorage.snapshot(), resolve, reject });
      if (this.isDue) return;
      this.isDue = true;
      // Once all that has arrived by now was read.
      setImmediate(() => {
        this.isDue = false;
        this.send();
      });
    });
  }

  private send(): void {
    while (this.waiting.length > 0 && this.batches < this.options.atOnce) {
      const batch = this.waiting.splice(0, this.options.most);
      this.batches++;
      void this.settle(batch).finally(() => {
        this.batches--;
        this.send();
      });
    }
  }

  private async settle(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await batch[0]!.within(() => this.work(batch.map(({ item }) => item)));
      batch.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      if (batch.length === 1 || kindOf(error) === 'unavailable') {
        for (const { reject } of batch) reject(error);
      } else {
        await Promise.all(batch.map((one) => this.settle([one])));
      }
    }
  }
}
