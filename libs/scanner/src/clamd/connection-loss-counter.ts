const MAX_CONTENTS = 1000;

interface Losses {
  readonly times: number;
  readonly lastAt: number;
}

/** Counts the consecutive connection losses for each content, for the thousand most recent contents. */
export class ConnectionLossCounter {
  private readonly contents = new Map<string, Losses>();

  /**
   * Records a loss. A scan that began before the content's last recorded loss is not counted: concurrent scans are lost
   * together. Times are in milliseconds of the monotonic clock.
   * @returns the number of consecutive losses
   */
  note(sha256: string, begunAt: number, now: number): number {
    const last = this.contents.get(sha256) ?? { times: 0, lastAt: -Infinity };
    const losses = begunAt > last.lastAt ? { times: last.times + 1, lastAt: now } : last;
    this.contents.delete(sha256);
    this.contents.set(sha256, losses);
    if (this.contents.size > MAX_CONTENTS) this.contents.delete(this.contents.keys().next().value!);
    return losses.times;
  }

  /**
   * Resets a content's count after a complete scan. Takes a function because the hash is needed only if losses exist.
   */
  forget(sha256: () => string): void {
    if (this.contents.size > 0) this.contents.delete(sha256());
  }
}
