import { methodContribution } from '../contributions.js';

/** Probes a dependency of this process. Resolves if healthy, rejects otherwise. */
export type HealthProbe = (signal: AbortSignal) => Promise<unknown>;

/** Numbers that a check reports besides its outcome, e.g. an offset in seconds. */
export type HealthFigureReader = () => Readonly<Record<string, number>>;

/** The methods decorated with {@link HealthCheck}. The option is the name. */
export const HEALTH_CHECKS = methodContribution<string, HealthProbe>('HealthCheck');

/** The methods decorated with {@link HealthFigures}. The option is the name of the check. */
export const HEALTH_FIGURES = methodContribution<string, HealthFigureReader>('HealthFigures');

/**
 * Makes a method a check of `/health/ready`: it resolves if the dependency is healthy and rejects otherwise. Its signal aborts when the
 * result is no longer awaited, after two seconds. A name that another check has fails the start.
 * @example
 * @HealthCheck('albums')
 * ping(signal: AbortSignal): Promise<unknown> {
 *   return this.client.ping({ signal });
 * }
 */
export const HealthCheck = (name: string) => HEALTH_CHECKS(name);

/**
 * Adds numbers to the result of the check with this name. They are public: `/health/ready` needs no authentication.
 * @example
 * @HealthFigures('albums')
 * figures() {
 *   return { lagSeconds: this.lagSeconds };
 * }
 */
export const HealthFigures = (check: string) => HEALTH_FIGURES(check);
