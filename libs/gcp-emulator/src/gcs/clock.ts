import { ApiError } from './http/errors.js';

/**
 * Control of the emulator's clock, so that a test can let objects age. The clock decides creation times, the expiry of
 * signed URLs and of upload sessions, and the times of events. Generations increase even when the clock goes back.
 */
export interface ClockControl {
  now(): Date;
  /** Sets the time, which runs on from there. */
  set(date: Date): void;
  /** Moves the time by milliseconds, back if negative. */
  advance(ms: number): void;
  /** Returns to the time of the options (by default the system's). */
  reset(): void;
}

/** Microseconds of later times are no exact numbers, and an earlier time than 1970 is no generation. */
const LATEST_MS = Date.parse('2200-01-01T00:00:00Z');

/** A clock that differs from another one by an amount that can be changed. */
export class AdjustableClock implements ClockControl {
  private offsetMs = 0;

  constructor(private readonly base: () => Date) {}

  now(): Date {
    return new Date(this.base().getTime() + this.offsetMs);
  }

  set(date: Date): void {
    this.move(date.getTime() - this.base().getTime());
  }

  advance(ms: number): void {
    this.move(this.offsetMs + ms);
  }

  reset(): void {
    this.offsetMs = 0;
  }

  private move(offsetMs: number): void {
    const time = this.base().getTime() + offsetMs;
    if (!(time >= 0 && time <= LATEST_MS)) {
      throw new ApiError('invalid', { message: 'The time must be between 1970 and 2200.' });
    }
    this.offsetMs = offsetMs;
  }
}
