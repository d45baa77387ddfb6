import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { HealthCheck, HealthFigures } from './health-check.js';
import { HealthModule } from './health.module.js';
import { HealthService, probe } from './health.service.js';

describe('probe', () => {
  it.each([
    ['resolves', () => Promise.resolve(null), true],
    ['rejects', () => Promise.reject(new Error('postgresql://secret@db is down')), false],
    [
      'throws at once',
      () => {
        throw new Error('postgresql://secret@db is down');
      },
      false,
    ],
    ['never resolves', () => new Promise(() => undefined), false],
  ])('reports a check that %s', async (_, check, ok) => {
    expect(await probe(check, 50)).toEqual({ ok, latencyMs: expect.any(Number) });
  });

  it('aborts the signal of a check that timed out', async () => {
    let given: AbortSignal | undefined;
    await probe((signal) => {
      given = signal;
      return new Promise(() => undefined);
    }, 50);
    expect(given?.aborted).toBe(true);
  });
});

class Lagging {
  @HealthCheck('albums')
  ping(): Promise<void> {
    return Promise.reject(new Error('down'));
  }

  @HealthFigures('albums')
  figures() {
    return { lagSeconds: 7 };
  }
}

class Up {
  @HealthCheck('covers')
  ping(): Promise<void> {
    return Promise.resolve();
  }
}

class AlsoCovers extends Up {}

class Figures {
  @HealthFigures('missing')
  figures() {
    return { lagSeconds: 7 };
  }
}

describe('HealthService', () => {
  const start = async (optional: string[], ...providers: (new () => object)[]) => {
    const imports = [HealthModule.forRoot({ optional })];
    const module = await Test.createTestingModule({ imports, providers }).compile();
    await module.init();
    return module.get(HealthService).readiness();
  };

  it('runs all checks and reports their figures, even those of a failed check', async () => {
    const latencyMs: unknown = expect.any(Number);
    const checks = { albums: { ok: false, latencyMs, lagSeconds: 7 }, covers: { ok: true, latencyMs } };
    expect(await start([], Lagging, Up)).toEqual({ ok: false, checks });
    expect(await start(['albums'], Lagging, Up)).toEqual({ ok: true, checks });
  });

  it('fails the start if two checks have one name', async () => {
    await expect(start([], Up, AlsoCovers)).rejects.toThrow(
      'Two health checks are named covers; one is AlsoCovers.ping.',
    );
  });

  it('fails the start if figures belong to no check', async () => {
    await expect(start([], Figures)).rejects.toThrow(
      'There is no health check missing for the figures of Figures.figures.',
    );
  });
});
