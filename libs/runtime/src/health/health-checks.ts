/** Probes a dependency of this process. Resolves if healthy, rejects otherwise. */
export type HealthCheck = (signal: AbortSignal) => Promise<unknown>;

/** Numbers that a check reports besides its outcome, e.g. an offset in seconds. */
export type HealthFigures = () => Readonly<Record<string, number>>;

type NamedCheck = readonly [name: string, check: HealthCheck, figures?: HealthFigures];

/**
 * Registry of the checks behind `/health/ready`. A module with an external dependency adds its check at construction.
 */
export class HealthChecks {
  private readonly checks: NamedCheck[] = [];

  /**
   * Registers a check under a name of its own. Its signal aborts when the result is no longer awaited. The figures are public: `/health/ready`
   * needs no authentication.
   */
  add(name: string, check: HealthCheck, figures?: HealthFigures): void {
    this.checks.push([name, check, figures]);
  }

  get all(): readonly NamedCheck[] {
    return this.checks;
  }
}
