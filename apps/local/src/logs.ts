import { appendFileSync, copyFileSync, mkdirSync, renameSync, statSync, truncateSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';

const MAX_BYTES = 20 * 2 ** 20;
/** Limit on a logged line. The services' own lines have at most 16 KiB. */
const MAX_KEPT_LINE = 64 * 1024;
/** Interval of size checks of a log that another process writes. */
const WATCH_MS = 1_000;
/** Limit on the lines of one child on the terminal; its log contains all of them. */
const MAX_LINES_PER_MINUTE = 20;
const MAX_LINE = 200;
/** Lines that Node.js prints around an error, and its warnings. */
const TRACE = /^\s|^\(|^file:|^Node\.js v|^\W*$/;
/** Log levels of pino: https://getpino.io/#/docs/api?id=loggerlevel-string-gettersetter */
const [WARN, ERROR, FATAL] = [40, 50, 60];

/** Size of a file in bytes; 0 if it does not exist. */
export const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;

/** The path of a log in the data folder. A log of more than 20 MiB is rotated, with one old file. */
export function logFile(dataFolder: string, name: string): string {
  const folder = path.join(dataFolder, 'logs');
  const file = path.join(folder, `${name}.log`);
  mkdirSync(folder, { recursive: true });
  if (sizeOf(file) > MAX_BYTES) renameSync(file, `${file}.old`);
  return file;
}

/**
 * Rotates a log of more than 20 MiB while another process has it open for appending: copies its content to the old file
 * and truncates it. Lines that are written in between are lost.
 */
export function rotateOpenLog(file: string): void {
  if (sizeOf(file) <= MAX_BYTES) return;
  copyFileSync(file, `${file}.old`);
  truncateSync(file);
}

/** Rotates a log of another process for the lifetime of this process. */
export function keepLogBounded(file: string): void {
  const rotate = () => {
    try {
      rotateOpenLog(file);
    } catch {
      // A full disk has no space for the copy; the next check tries again.
    }
  };
  setInterval(rotate, WATCH_MS).unref();
}

export interface Terminal {
  /** Shows everything that children write instead of only warnings and errors. */
  readonly verbose: boolean;
  readonly line: (text: string) => void;
}

/**
 * Appends the output of a child (pino's JSON lines or any text) to its log, and shows warnings and errors as short
 * lines on the terminal. Fatal errors are not shown here, because the end of the child is reported with its last error.
 */
export class ChildLog {
  /** The last error that the child logged or wrote to stderr. */
  lastError: string | undefined;
  private shown = 0;
  private minute = 0;
  private size: number;

  constructor(
    readonly name: string,
    readonly file: string,
    private readonly terminal: Terminal,
  ) {
    this.size = sizeOf(file);
  }

  follow(stdout: Readable, stderr: Readable): void {
    this.lastError = undefined;
    createInterface({ input: stdout }).on('line', (line) => this.write(line));
    createInterface({ input: stderr }).on('line', (line) => {
      if (!TRACE.test(line)) this.lastError = line.slice(0, MAX_LINE);
      this.write(line);
    });
  }

  private write(line: string): void {
    try {
      this.append(Buffer.from(`${line.slice(0, MAX_KEPT_LINE)}\n`));
    } catch {
      // A full disk must not end the child, which will report the problem itself.
    }
    const { level, text } = read(line);
    if (level >= ERROR) this.lastError = text;
    if (this.terminal.verbose) this.terminal.line(`${this.name}: ${line}`);
    else if (level >= WARN && level < FATAL && this.mayShow()) this.terminal.line(`${this.name}: ${text}`);
  }

  private append(line: Buffer): void {
    if (this.size + line.length > MAX_BYTES) {
      this.size = 0;
      renameSync(this.file, `${this.file}.old`);
    }
    appendFileSync(this.file, line, { mode: 0o600 });
    this.size += line.length;
  }

  private mayShow(): boolean {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.minute) [this.minute, this.shown] = [minute, 0];
    return ++this.shown <= MAX_LINES_PER_MINUTE;
  }
}

/** Level and message of a line from pino; level 0 for any other line. */
function read(line: string): { level: number; text: string } {
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: number;
      msg?: unknown;
      err?: { message?: unknown };
    };
    const parts = [msg, err?.message].filter((part) => typeof part === 'string' && part !== '');
    const text = [...new Set(parts)].join(': ').replaceAll(/\s+/g, ' ').slice(0, MAX_LINE);
    return { level: level ?? 0, text };
  } catch {
    return { level: 0, text: '' };
  }
}
