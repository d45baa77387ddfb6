import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { atMostEvery } from '../at-most-every.js';
import { Contributions } from '../contributions.js';
import { HEALTH_CHECKS, HEALTH_FIGURES, type HealthFigureReader, type HealthProbe } from './health-check.js';

/** Options of the readiness probe. */
export interface HealthOptions {
  /** Names of checks that are reported but do not affect readiness. */
  readonly optional?: readonly string[];
}

export const HEALTH_OPTIONS = Symbol('HEALTH_OPTIONS');

/** Result of one check. */
export interface Probe {
  readonly ok: boolean;
  /** Time until the check succeeded, failed or timed out, in milliseconds. */
  readonly latencyMs: number;
  /** Figures of the check, e.g. `offsetSeconds` of the clock. */
  readonly [figure: string]: boolean | number;
}

/** Contains no host names, resource names or errors, because the endpoint needs no authentication. */
export interface Readiness {
  /** False if a required check failed. */
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, Probe>>;
}

const PROBE_TIMEOUT_MS = 2_000;
/** Results are reused for this time, to limit the load that frequent requests put on the dependencies. */
const CACHE_MS = 1_000;

/** A check, and its numbers if it has any. */
interface NamedCheck {
  readonly check: HealthProbe;
  figures?: HealthFigureReader;
}

@Injectable()
export class HealthService implements OnModuleInit {
  readonly readiness = atMostEvery(CACHE_MS, () => this.probeAll());
  private readonly checks = new Map<string, NamedCheck>();

  constructor(
    private readonly contributions: Contributions,
    @Inject(HEALTH_OPTIONS) private readonly options: HealthOptions,
  ) {}

  /** @throws Error if two checks have one name, or figures belong to no check */
  onModuleInit(): void {
    for (const { options: name, call, source } of this.contributions.methods(HEALTH_CHECKS)) {
      if (this.checks.has(name)) throw new Error(`Two health checks are named ${name}; one is ${source}.`);
      this.checks.set(name, { check: call });
    }
    for (const { options: name, call, source } of this.contributions.methods(HEALTH_FIGURES)) {
      const named = this.checks.get(name);
      if (named === undefined)
        throw new Error(`There is no health check ${name} for the figures of ${source}.`);
      named.figures = call;
    }
  }

  private async probeAll(): Promise<Readiness> {
    const probes = await Promise.all(
      [...this.checks].map(async ([name, { check, figures }]): Promise<[string, Probe]> => [
        name,
        { ...figuresOf(figures), ...(await probe(check)) },
      ]),
    );
    const { optional = [] } = this.options;
    return {
      ok: probes.every(([name, { ok }]) => ok || optional.includes(name)),
      checks: Object.fromEntries(probes),
    };
  }
}

/** Figures are an addition: if they cannot be read, the outcome of the check still counts. */
function figuresOf(figures?: HealthFigureReader): Readonly<Record<string, number>> {
  try {
    return figures?.() ?? {};
  } catch {
    return {};
  }
}

/** Runs a check. `ok` is false if it rejects, or does not resolve within `timeoutMs` milliseconds. */
export async function probe(check: HealthProbe, timeoutMs = PROBE_TIMEOUT_MS): Promise<Probe> {
  const started = performance.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const timedOut = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false)));
  // The promise also catches a check that throws before it returns one.
  const finished = new Promise((resolve) => resolve(check(signal))).then(
    () => true,
    () => false,
  );
  const ok = await Promise.race([finished, timedOut]);
  return { ok, latencyMs: Math.round(performance.now() - started) };
}
