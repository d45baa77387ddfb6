import { describe, expect, it } from '@jest/globals';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { ChildLog, logFile, rotateOpenLog } from './logs.js';

async function inFolder(work: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'stowage-logs-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe('logFile', () => {
  it('rotates a large log and keeps one old file', () =>
    inFolder((folder) => {
      const file = logFile(folder, 'api');
      writeFileSync(file, 'first');
      expect(statSync(logFile(folder, 'api')).size).toBe(5);
      truncateSync(file, 20 * 2 ** 20 + 1);
      logFile(folder, 'api');
      expect([existsSync(file), statSync(`${file}.old`).size]).toEqual([false, 20 * 2 ** 20 + 1]);
    }));
});

describe('rotateOpenLog', () => {
  it('rotates a log that another process appends to', () =>
    inFolder((folder) => {
      const file = logFile(folder, 'postgres');
      const open = openSync(file, 'a');
      try {
        writeSync(open, 'first');
        rotateOpenLog(file);
        expect([readFileSync(file, 'utf8'), existsSync(`${file}.old`)]).toEqual(['first', false]);
        writeSync(open, Buffer.alloc(20 * 2 ** 20));
        rotateOpenLog(file);
        writeSync(open, 'last');
        expect([readFileSync(file, 'utf8'), statSync(`${file}.old`).size]).toEqual([
          'last',
          20 * 2 ** 20 + 5,
        ]);
      } finally {
        closeSync(open);
      }
    }));

  it('ignores a missing file', () =>
    inFolder((folder) => {
      rotateOpenLog(path.join(folder, 'none.log'));
      expect(existsSync(path.join(folder, 'none.log'))).toBe(false);
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
  ])('shows for %j on the terminal: %j', (line, expected) =>
    inFolder(async (folder) => {
      expect((await shown(folder, [line])).terminal).toEqual(expected);
      expect(readFileSync(path.join(folder, 'api.log'), 'utf8')).toBe(`${line}\n`);
    }),
  );

  it('shows every line in verbose mode', () =>
    inFolder(async (folder) => {
      expect((await shown(folder, ['a', 'b'], { verbose: true })).terminal).toEqual(['api: a', 'api: b']);
    }));

  it('limits the lines on the terminal', () =>
    inFolder(async (folder) => {
      const lines = Array<string>(500).fill('{"level":50,"msg":"down"}');
      const { terminal } = await shown(folder, lines);
      expect(terminal.length).toBeGreaterThan(0);
      // A new minute may begin in between.
      expect(terminal.length).toBeLessThanOrEqual(40);
    }));

  it('rotates its log repeatedly before it exceeds 20 MiB, and keeps one old file', () =>
    inFolder(async (folder) => {
      const file = path.join(folder, 'api.log');
      writeFileSync(file, `${'o'.repeat(99)}\n`);
      const lines = Array.from({ length: 900 }, (_, index) => `${index} ${'x'.repeat(60_000)}`);
      // A restarted child continues with the same file.
      for (const part of [lines.slice(0, 500), lines.slice(500)]) await shown(folder, part);
      const limit = 20 * 2 ** 20;
      for (const name of [file, `${file}.old`]) expect(statSync(name).size).toBeLessThanOrEqual(limit);
      expect(existsSync(`${file}.old.old`)).toBe(false);
      const kept = [`${file}.old`, file].flatMap((name) => readFileSync(name, 'utf8').trim().split('\n'));
      const numbers = kept.map((line) => Number(line.split(' ', 1)[0]));
      // The lines have no gap and include the last one.
      expect(numbers).toEqual(numbers.map((_, index) => 900 - numbers.length + index));
      expect(numbers.length).toBeGreaterThan(300);
    }));

  it('truncates a very long line', () =>
    inFolder(async (folder) => {
      await shown(folder, ['x'.repeat(1_000_000), 'next']);
      const [first, second] = readFileSync(path.join(folder, 'api.log'), 'utf8').split('\n');
      expect([first?.length, second]).toEqual([64 * 1024, 'next']);
    }));

  it('provides the last error of a failed child', () =>
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
