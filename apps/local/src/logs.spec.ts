import { describe, expect, it } from '@jest/globals';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { ChildLog, logFile } from './logs.js';

async function inFolder(work: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'stowage-logs-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('logFile', () => {
  it('starts anew when it has grown large, and keeps one old one', () =>
    inFolder((folder) => {
      const file = logFile(folder, 'api');
      writeFileSync(file, 'first');
      expect(statSync(logFile(folder, 'api')).size).toBe(5);
      truncateSync(file, 20 * 2 ** 20 + 1);
      logFile(folder, 'api');
      expect([existsSync(file), statSync(`${file}.old`).size]).toEqual([false, 20 * 2 ** 20 + 1]);
    }));
});

describe('ChildLog', () => {
  async function shown(folder: string, lines: string[], { verbose = false, stream = 'stdout' } = {}) {
    const terminal: string[] = [];
    const log = new ChildLog('api', path.join(folder, 'api.log'), {
      verbose,
      line: (text) => terminal.push(text),
    });
    const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
    log.follow(streams.stdout, streams.stderr);
    const closed = [streams.stdout, streams.stderr].map((each) => once(each, 'close'));
    streams[stream === 'stdout' ? 'stdout' : 'stderr'].write(lines.map((line) => `${line}\n`).join(''));
    streams.stdout.end();
    streams.stderr.end();
    await Promise.all(closed);
    return { terminal, lastError: log.lastError };
  }

  it.each([
    ['{"level":30,"msg":"fine"}', []],
    ['{"level":40,"msg":"slow"}', ['api: slow']],
    ['{"level":50,"msg":"failed","err":{"message":"no\\ndisk"}}', ['api: failed: no disk']],
    [`{"level":50,"msg":"${'x'.repeat(1000)}"}`, [`api: ${'x'.repeat(200)}`]],
    ['{"level":60,"msg":"over"}', []],
    ['TypeError: x is not a function', []],
    ['    at file.js:1', []],
    ['{ not JSON', []],
    ['null', []],
  ])('shows of %j on the terminal %j', (line, expected) =>
    inFolder(async (folder) => {
      expect((await shown(folder, [line])).terminal).toEqual(expected);
      expect(readFileSync(path.join(folder, 'api.log'), 'utf8')).toBe(`${line}\n`);
    }),
  );

  it('shows everything when asked to', () =>
    inFolder(async (folder) => {
      expect((await shown(folder, ['a', 'b'], { verbose: true })).terminal).toEqual(['api: a', 'api: b']);
    }));

  it('does not flood the terminal', () =>
    inFolder(async (folder) => {
      const lines = Array<string>(500).fill('{"level":50,"msg":"down"}');
      const { terminal } = await shown(folder, lines);
      expect(terminal.length).toBeGreaterThan(0);
      // A minute may begin in between.
      expect(terminal.length).toBeLessThanOrEqual(40);
    }));

  it('knows what a child said before it failed', () =>
    inFolder(async (folder) => {
      const logged = ['{"level":60,"msg":"no port"}', '{"level":30,"msg":"bye"}'];
      expect((await shown(folder, logged)).lastError).toBe('no port');
      const trace = [
        'file:///x.js:3',
        'Configuration: PORT must be a number',
        '    at x.js:3:1',
        '',
        'Node.js v24.0.0',
      ];
      expect((await shown(folder, trace, { stream: 'stderr' })).lastError).toBe(
        'Configuration: PORT must be a number',
      );
    }));
});
