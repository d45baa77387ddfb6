import { Inject, Injectable } from '@nestjs/common';
import { type HealthCheck, HealthChecks } from './health-checks.js';

export interface HealthOptions {
  /** Checks without which this process can serve: they are shown, and decide nothing. */
  readonly optional?: readonly string[];
}

export const HEALTH_OPTIONS = Symbol('HEALTH_OPTIONS');

export interface Probe {
  readonly ok: boolean;
  /** How long it took to answer or to fail, milliseconds. */
  readonly latencyMs: number;
  /** Figures of the check, such as `offsetSeconds` of the clock. */
  readonly [figure: string]: boolean | number;
}

/** Says nothing of hosts, names or errors: anybody may ask. */
export interface Readiness {
  /** False when one that is needed does not answer. */
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, Probe>>;
}

const PROBE_TIMEOUT_MS = 2_000;
/** However often it is asked, the dependencies are asked this often. */
const FRESH_MS = 1_000;

@Injectable()
export class HealthService {
  private last: { readonly at: number; readonly readiness: Promise<Readiness> } | undefined;

  constructor(
    private readonly checks: HealthChecks,
    @Inject(HEALTH_OPTIONS) private readonly options: HealthOptions,
  ) {}

  readiness(now = Date.now()): Promise<Readiness> {
    if (this.last === undefined || now - this.last.at >= FRESH_MS) {
      this.last = { at: now, readiness: this.probeAll() };
    }
    return this.last.readiness;
  }

  private async probeAll(): Promise<Readiness> {
    const probes = await Promise.all(
      this.checks.all.map(async ([name, check, figures]): Promise<[string, Probe]> => [
        name,
        { ...(await probe(check)), ...figures?.() },
      ]),
    );
    const { optional = [] } = this.options;
    return {
      ok: probes.every(([name, { ok }]) => ok || optional.includes(name)),
      checks: Object.fromEntries(probes),
    };
  }
}

/** Not ok when it fails, or does not answer in time. */
export async function probe(ask: HealthCheck, timeoutMs = PROBE_TIMEOUT_MS): Promise<Probe> {
  const started = performance.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const tooLate = new Promise<false>((resolve) => signal.addEventListener('abort', () => resolve(false)));
  const answered = ask(signal).then(
    () => true,
    () => false,
  );
  const ok = await Promise.race([answered, tooLate]);
  return { ok, latencyMs: Math.round(performance.now() - started) };
}
