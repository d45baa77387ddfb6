import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { TaskProgress } from '../../../scripts/task-progress.js';

const RUN = { id: '7', task: 'boxes.remove', dryRun: false, examined: 40, changed: 10, failed: 1 };
const RUNNING = { ...RUN, status: 'RUNNING' };
const QUEUED = { ...RUN, status: 'QUEUED' };
const CLEAR_LINE = '\r\u001b[K';

describe('TaskProgress', () => {
  let time: number;
  beforeEach(() => {
    time = 0;
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  function make(planned: number | null, terminal: { isTTY?: boolean; columns?: number } = {}) {
    const written: string[] = [];
    const stream = { ...terminal, write: (text: string) => written.push(text) };
    return { written, progress: new TaskProgress(stream, planned, () => time) };
  }

  it('draws a bar on a terminal if the number of actions is known', () => {
    const { written, progress } = make(40, { isTTY: true, columns: 200 });
    time = 61_000;
    progress.show(RUNNING);
    expect(written).toEqual([
      `${CLEAR_LINE}⠋ boxes.remove, run 7: RUNNING, █████░░░░░░░░░░░░░░░ 10 of 40 actions, 40 examined, 1 failed, 1:01`,
    ]);
    progress.stop();
  });

  it('fills the bar of a run that found more actions than planned', () => {
    const { written, progress } = make(40, { isTTY: true, columns: 200 });
    progress.show({ ...RUNNING, changed: 44 });
    expect(written[0]).toContain(`${'█'.repeat(20)} 44 of 40 actions`);
    progress.stop();
  });

  it('moves between polls, within the width of the terminal, until it is stopped', () => {
    const { written, progress } = make(null, { isTTY: true, columns: 20 });
    progress.show(RUNNING);
    jest.advanceTimersByTime(200);
    expect(written).toEqual(['⠋', '⠙', '⠹'].map((frame) => `${CLEAR_LINE}${frame} boxes.remove, run`));
    progress.stop();
    expect(written.splice(0).at(-1)).toBe(CLEAR_LINE);
    jest.advanceTimersByTime(1_000);
    expect(written).toEqual([]);
  });

  it('writes a line for each status and one per minute elsewhere', () => {
    const { written, progress } = make(null);
    for (const [at, run] of [
      [0, QUEUED],
      [1, RUNNING],
      [59_000, RUNNING],
      [60_001, RUNNING],
      [61_000, RUNNING],
    ] as const) {
      time = at;
      progress.show(run);
    }
    progress.stop();
    expect(written).toEqual([
      'boxes.remove, run 7: QUEUED\n',
      'boxes.remove, run 7: RUNNING\n',
      'boxes.remove, run 7: RUNNING, 10 actions, 40 examined, 1 failed, 1:00\n',
    ]);
  });

  it('remarks once that no worker takes the run', () => {
    const { written, progress } = make(null);
    for (time of [0, 14_999, 15_000, 16_000, 40_000]) progress.show(QUEUED);
    expect(written).toEqual([
      'boxes.remove, run 7: QUEUED\n',
      expect.stringMatching(/^No worker has taken run 7 for 15 s/),
    ]);
  });

  it('counts the time in the queue from the beginning when a run returns to the queue', () => {
    const { written, progress } = make(null);
    for (const [at, run] of [
      [0, QUEUED],
      [10_000, RUNNING],
      [15_000, QUEUED],
      [29_999, QUEUED],
    ] as const) {
      time = at;
      progress.show(run);
    }
    expect(written.join('')).not.toContain('No worker');
    time = 30_000;
    progress.show(QUEUED);
    expect(written.at(-1)).toContain('No worker');
  });
});
