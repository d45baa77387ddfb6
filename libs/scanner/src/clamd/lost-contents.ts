const MAX_CONTENTS = 1000;

interface Losses {
  readonly times: number;
  readonly lastAt: number;
}

/** How many times in a row the daemon was lost over a content. It forgets the oldest beyond a thousand. */
export class LostContents {
  private readonly contents = new Map<string, Losses>();

  /**
   * A scan that had begun before the last loss is part of that: what is under way together is lost together.
   * @returns how many times it is now
   */
  note(sha256: string, begunAt: number, now: number): number {
    const last = this.contents.get(sha256) ?? { times: 0, lastAt: -Infinity };
    const losses = begunAt > last.lastAt ? { times: last.times + 1, lastAt: now } : last;
    this.contents.delete(sha256);
    this.contents.set(sha256, losses);
    if (this.contents.size > MAX_CONTENTS) this.contents.delete(this.contents.keys().next().value!);
    return losses.times;
  }

  forget(sha256: () => string): void {
    if (this.contents.size > 0) this.contents.delete(sha256());
  }
}
