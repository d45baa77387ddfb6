/** Asks something that this process depends on for a sign of life: any answer will do, an error is none. */
export type HealthCheck = (signal: AbortSignal) => Promise<unknown>;

/** What `/health/ready` asks. A module that depends on something outside adds its check when it is made. */
export class HealthChecks {
  private readonly byName = new Map<string, HealthCheck>();

  /** The signal that a check gets says when nobody waits for it any more. */
  add(name: string, check: HealthCheck): void {
    this.byName.set(name, check);
  }

  get all(): [name: string, check: HealthCheck][] {
    return [...this.byName];
  }
}
