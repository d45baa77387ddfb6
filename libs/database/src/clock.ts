import { Inject, Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { Gauge, Registry } from 'prom-client';
import { kindOf, unavailable } from '#libs/domain';
import { HealthChecks, waitFor } from '#libs/runtime';
import { Database, DATABASE_OPTIONS, type DatabaseOptions, type Statement } from './database.js';

const READ_CLOCK: Statement<{ ms: number }> = {
  name: 'database_clock',
  text: 'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
};

const EVERY_MS = 60_000;
/** While the clock is beyond the limit, so that a corrected clock is noticed soon. */
const AGAIN_MS = 5_000;
const KEPT_SAMPLES = 10;
/** What two clocks may drift apart between two samples. */
const DRIFT_MS = 100;
const DEFAULT_LIMIT_SECONDS = 30;

interface Sample {
  readonly offsetMs: number;
  /** Half of the round trip: the most by which the offset may be wrong. */
  readonly errorMs: number;
}

/**
 * The database's clock, by which all processes judge deadlines, expiry and signatures. Its offset to the local clock is
 * measured at start and once a minute; the sample with the shortest round trip counts, as in NTP (RFC 5905, section 10).
 * A process whose clock is off by more than the limit does not sweep, sign URLs or verify tokens.
 */
@Injectable()
export class Clock implements OnModuleInit, OnApplicationShutdown {
  private readonly limitMs: number;
  private readonly logger = new Logger(Clock.name);
  private samples: readonly Sample[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(
    @Inject(DATABASE_OPTIONS) options: DatabaseOptions,
    private readonly database: Database,
    registry: Registry,
    health: HealthChecks,
  ) {
    this.limitMs = (options.clockLimitSeconds ?? DEFAULT_LIMIT_SECONDS) * 1000;
    health.add(
      'clock',
      () => (this.isBeyondLimit ? Promise.reject(new Error('clock beyond its limit')) : Promise.resolve()),
      () => ({ offsetSeconds: this.offsetSeconds }),
    );
    const offsetSeconds = () => this.offsetSeconds;
    new Gauge({
      name: 'stowage_clock_offset_seconds',
      help: "Time of the database's clock minus time of this process's clock, in seconds",
      registers: [registry],
      collect() {
        this.set(offsetSeconds());
      },
    });
  }

  async onModuleInit(): Promise<void> {
    await waitFor(
      'PostgreSQL',
      () => this.measure(),
      (error) => kindOf(error) === 'unavailable',
    );
    this.schedule();
  }

  onApplicationShutdown(): void {
    this.stop();
  }

  /** The time of the database's clock. */
  now(): Date {
    return new Date(Date.now() + this.offsetMs);
  }

  /** Whether the local clock certainly differs from the database's by more than the limit. */
  get isBeyondLimit(): boolean {
    const best = this.best;
    return best !== undefined && Math.abs(best.offsetMs) - best.errorMs > this.limitMs;
  }

  /** @throws StowageError unavailable CLOCK_OFFSET when the local clock is beyond the limit */
  check(): void {
    if (this.isBeyondLimit)
      throw unavailable('CLOCK_OFFSET', 'The service is not available. Try again later.');
  }

  /** @throws StowageError unavailable DATABASE_UNAVAILABLE */
  async measure(): Promise<void> {
    const wasBeyond = this.isBeyondLimit;
    const sentAt = Date.now();
    const began = performance.now();
    const [row] = await this.database.query(READ_CLOCK, []);
    const roundTripMs = performance.now() - began;
    const sample = { offsetMs: row!.ms - sentAt - roundTripMs / 2, errorMs: roundTripMs / 2 };
    // Samples of before a clock was set say nothing any more.
    const agrees = ({ offsetMs, errorMs }: Sample) =>
      Math.abs(offsetMs - sample.offsetMs) <= errorMs + sample.errorMs + DRIFT_MS;
    this.samples = [sample, ...this.samples.filter(agrees)].slice(0, KEPT_SAMPLES);
    if (this.isBeyondLimit === wasBeyond) return;
    const { offsetSeconds } = this;
    if (wasBeyond) this.logger.log({ offsetSeconds }, 'clock is within its limit again');
    else
      this.logger.error({ offsetSeconds }, 'clock beyond its limit: no sweeps, signatures or verification');
  }

  /** Ends the measurements. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private get offsetMs(): number {
    return this.best?.offsetMs ?? 0;
  }

  /** To the millisecond. */
  private get offsetSeconds(): number {
    return Math.round(this.offsetMs) / 1000;
  }

  private get best(): Sample | undefined {
    return this.samples.reduce<Sample | undefined>(
      (best, sample) => (best === undefined || sample.errorMs < best.errorMs ? sample : best),
      undefined,
    );
  }

  private schedule(): void {
    if (this.isStopped) return;
    const afterMs = this.isBeyondLimit ? AGAIN_MS : EVERY_MS;
    this.timer = setTimeout(() => {
      // A database that is down is reported by its own health check; the last offset still holds.
      void this.measure()
        .catch(() => undefined)
        .then(() => this.schedule());
    }, afterMs).unref();
  }
}
