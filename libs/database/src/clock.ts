import { Injectable, Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { kindOf, unavailable } from '#libs/domain';
import { HealthCheck, HealthFigures, MetricGauge, waitFor } from '#libs/runtime';
import { Database } from './database.js';
import { DatabaseConfig } from './database.config.js';
import { statement } from './statement.js';

const READ_CLOCK = statement<{ ms: number }>(
  'database_clock',
  'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
);

const INTERVAL_MS = 60_000;
/** Shorter interval while the offset exceeds the limit, to detect a corrected clock soon. */
const BEYOND_LIMIT_INTERVAL_MS = 5_000;
const MAX_SAMPLES = 10;
/** Maximum drift of the two clocks between two samples. */
const DRIFT_MS = 100;

interface Sample {
  readonly offsetMs: number;
  /** Half of the round trip: the maximum error of the offset. */
  readonly errorMs: number;
}

/**
 * The database's clock, by which all processes decide deadlines, expiry and signatures. The offset to the local clock
 * is measured at the start and once a minute; the sample with the shortest round trip counts, as in NTP (RFC 5905,
 * section 10). A process whose offset exceeds the limit does not run tasks, sign URLs or verify tokens.
 */
@Injectable()
export class Clock implements OnModuleInit, OnApplicationShutdown {
  private readonly limitMs: number;
  private readonly logger = new Logger(Clock.name);
  private samples: readonly Sample[] = [];
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(
    { clockLimitSeconds }: DatabaseConfig,
    private readonly database: Database,
  ) {
    this.limitMs = clockLimitSeconds * 1000;
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

  /** Returns the current time of the database's clock. */
  now(): Date {
    return new Date(Date.now() + this.offsetMs);
  }

  /** Whether the offset certainly exceeds the limit, even with the error of its measurement. */
  get isBeyondLimit(): boolean {
    const best = this.best;
    return best !== undefined && Math.abs(best.offsetMs) - best.errorMs > this.limitMs;
  }

  /** @throws StowageError unavailable CLOCK_OFFSET if the offset exceeds the limit */
  check(): void {
    if (this.isBeyondLimit)
      throw unavailable('CLOCK_OFFSET', 'The service is not available. Try again later.');
  }

  /** Rejects if the offset exceeds the limit. */
  @HealthCheck('clock')
  checkHealth(): Promise<void> {
    return new Promise((resolve) => resolve(this.check()));
  }

  @HealthFigures('clock')
  healthFigures() {
    return { offsetSeconds: this.offsetSeconds() };
  }

  /** The offset in seconds, rounded to milliseconds. */
  @MetricGauge(
    'stowage_clock_offset_seconds',
    "Time of the database's clock minus time of this process's clock, in seconds",
  )
  offsetSeconds(): number {
    return Math.round(this.offsetMs) / 1000;
  }

  /** Measures the offset once. @throws StowageError unavailable DATABASE_UNAVAILABLE */
  async measure(): Promise<void> {
    const wasBeyond = this.isBeyondLimit;
    const sentAt = Date.now();
    const began = performance.now();
    const [row] = await this.database.query(READ_CLOCK, []);
    const roundTripMs = performance.now() - began;
    const sample = { offsetMs: row!.ms - sentAt - roundTripMs / 2, errorMs: roundTripMs / 2 };
    // After a clock was set, older samples contradict the new one and are dropped.
    const agrees = ({ offsetMs, errorMs }: Sample) =>
      Math.abs(offsetMs - sample.offsetMs) <= errorMs + sample.errorMs + DRIFT_MS;
    this.samples = [sample, ...this.samples.filter(agrees)].slice(0, MAX_SAMPLES);
    if (this.isBeyondLimit === wasBeyond) return;
    const offsetSeconds = this.offsetSeconds();
    if (wasBeyond) this.logger.log({ offsetSeconds }, 'clock offset within limit');
    else
      this.logger.error({ offsetSeconds }, 'clock offset beyond limit: no tasks, signatures or verification');
  }

  /** Stops the measurements. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private get offsetMs(): number {
    return this.best?.offsetMs ?? 0;
  }

  private get best(): Sample | undefined {
    return this.samples.reduce<Sample | undefined>(
      (best, sample) => (best === undefined || sample.errorMs < best.errorMs ? sample : best),
      undefined,
    );
  }

  private schedule(): void {
    if (this.isStopped) return;
    const afterMs = this.isBeyondLimit ? BEYOND_LIMIT_INTERVAL_MS : INTERVAL_MS;
    this.timer = setTimeout(() => {
      // The database's own health check reports an outage; the last offset stays valid.
      void this.measure()
        .catch(() => undefined)
        .then(() => this.schedule());
    }, afterMs).unref();
  }
}
