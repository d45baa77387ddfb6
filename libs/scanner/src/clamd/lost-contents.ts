const MAX_CONTENTS = 1000;

/** How many times in a row the daemon was lost over a content. It forgets the oldest beyond a thousand. */
export class LostContents {
  private readonly times = new Map<string, number>();

  /** @returns how many times it is now */
  note(sha256: string): number {
    const times = (this.times.get(sha256) ?? 0) + 1;
    this.times.delete(sha256);
    this.times.set(sha256, times);
    if (this.times.size > MAX_CONTENTS) this.times.delete(this.times.keys().next().value!);
    return times;
  }

  forget(sha256: () => string): void {
    if (this.times.size > 0) this.times.delete(sha256());
  }
}
