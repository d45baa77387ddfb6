import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { Registry } from 'prom-client';
import { MetricGauge } from './metric-gauge.js';
import { MetricsModule } from './metrics.module.js';

class Albums {
  open = 1;

  @MetricGauge('albums_open', 'Number of open albums')
  countOpen(): number {
    return this.open;
  }
}

class Others {
  @MetricGauge('albums_open', 'Number of other albums')
  count(): number {
    return 0;
  }
}

const start = async (...providers: (new () => object)[]) => {
  const module = await Test.createTestingModule({ imports: [MetricsModule], providers }).compile();
  return module.init();
};

describe('MetricGauge', () => {
  it('shows the current result of the method', async () => {
    const module = await start(Albums);
    const registry = module.get(Registry);
    expect(await registry.getSingleMetricAsString('albums_open')).toMatch(
      /^# HELP albums_open Number of open albums\n[^]*^albums_open 1$/m,
    );
    module.get(Albums).open = 2;
    expect(await registry.getSingleMetricAsString('albums_open')).toMatch(/^albums_open 2$/m);
  });

  it('fails the start if another metric has the name', async () => {
    await expect(start(Albums, Others)).rejects.toThrow(/albums_open/);
  });
});
