import { describe, expect, it } from '@jest/globals';
import { Faults, type Target } from './faults.js';
import type { FaultRule } from './rule.js';

const action = { status: 503 } as const;
const target: Target = { method: 'PUT', api: 'xml', bucket: 'b', key: 'in/a' };

/** Marks each of 60 requests to which the rule is applied with an x. */
function pattern(rule: Partial<FaultRule>): string {
  const faults = new Faults();
  faults.add({ action, ...rule });
  return Array.from({ length: 60 }, () => (faults.ofRequest(target) ? 'x' : '.')).join('');
}

describe('a fault rule', () => {
  it.each<[FaultRule['match'], boolean]>([
    [undefined, true],
    [{ method: 'put', api: 'xml', bucket: 'b', keyPrefix: 'in/' }, true],
    [{ method: 'GET' }, false],
    [{ api: 'json' }, false],
    [{ bucket: 'other' }, false],
    [{ keyPrefix: 'out/' }, false],
  ])('matches a PUT of in/a by %j: %p', (match, applies) => {
    const faults = new Faults();
    const id = faults.add({ match, action });
    expect(faults.ofRequest(target)).toEqual(applies ? action : undefined);
    expect(faults.list()).toEqual([{ id, match, action, hits: Number(applies) }]);
  });

  it('applies at most the given number of times', () => {
    expect(pattern({ times: 3 })).toMatch(/^xxx\.{57}$/);
  });

  it('applies by a probability that is repeatable for a seed', () => {
    const chance = pattern({ probability: 0.5, seed: 7 });
    expect(pattern({ probability: 0.5, seed: 7 })).toBe(chance);
    expect(pattern({ probability: 0.5, seed: 8 })).not.toBe(chance);
    expect([pattern({ probability: 0 }), pattern({ probability: 1 })]).toEqual([
      '.'.repeat(60),
      'x'.repeat(60),
    ]);
  });

  it('is skipped once used up, and replaced by a rule with its id', () => {
    const faults = new Faults();
    faults.add({ id: 'first', times: 1, action: { status: 429 } });
    faults.add({ id: 'second', action: { status: 500 } });
    faults.add({ id: 'second', action });
    expect([faults.ofRequest(target), faults.ofRequest(target)]).toEqual([{ status: 429 }, action]);
    faults.clear();
    expect([faults.ofRequest(target), faults.list()]).toEqual([undefined, []]);
  });

  it('applies either to requests or to events, as its action says', () => {
    const faults = new Faults();
    faults.add({ action });
    expect(faults.ofEvent(target)).toBeUndefined();
    faults.add({ action: { events: 'lose' } });
    expect(faults.ofEvent(target)).toEqual({ events: 'lose' });
  });
});

it('ends a pause on release and returns at once from later pauses', async () => {
  const faults = new Faults();
  const pause = faults.pause();
  const paused = pause(3_600_000);
  faults.release();
  await paused;
  await pause(3_600_000);
});
