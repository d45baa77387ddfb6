/** Asks something that this process depends on for a sign of life. Resolves if healthy, rejects otherwise. */
export type HealthCheck = (signal: AbortSignal) => Promise<unknown>;

/** Figures that a check shows beside its outcome, such as an offset in seconds. */
export type HealthFigures = () => Readonly<Record<string, number>>;

type NamedCheck = readonly [name: string, check: HealthCheck, figures?: HealthFigures];

/** What `/health/ready` asks. A module that depends on something outside adds its check when it is made. */
export class HealthChecks {
  private readonly byName = new Map<string, NamedCheck>();

  /** The signal that a check gets is aborted when the answer is no longer awaited. Figures are public: anybody may ask. */
  add(name: string, check: HealthCheck, figures?: HealthFigures): void {
    this.byName.set(name, [name, check, figures]);
  }

  get all(): readonly NamedCheck[] {
    return [...this.byName.values()];
  }
}
