import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { createInterface } from 'node:readline';

const MAX_BYTES = 20 * 2 ** 20;
/** What a child may put on the terminal; the rest is in its log. */
const MAX_LINES_PER_MINUTE = 20;
const MAX_LINE = 200;
/** What Node.js prints around an error, and its warnings. */
const TRACE = /^\s|^\(|^file:|^Node\.js v|^\W*$/;
/** https://getpino.io/#/docs/api?id=loggerlevel-string-gettersetter */
const [WARN, ERROR, FATAL] = [40, 50, 60];

/** The path of a log in the data folder. One that has grown past 20 MiB starts anew; one old one is kept. */
export function logFile(dataFolder: string, name: string): string {
  const folder = path.join(dataFolder, 'logs');
  const file = path.join(folder, `${name}.log`);
  mkdirSync(folder, { recursive: true });
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) renameSync(file, `${file}.old`);
  return file;
}

export interface Terminal {
  /** Shows everything that children write, not only warnings. */
  readonly verbose: boolean;
  line(text: string): void;
}

/**
 * Keeps what a child writes (JSON lines of pino, or anything) in its log, and shows its warnings and errors on the
 * terminal in one short line each. What is fatal is for whoever notices that the child has ended.
 */
export class ChildLog {
  /** The last error it logged or line it wrote to its error output, if any. */
  lastError: string | undefined;
  private shown = 0;
  private minute = 0;

  constructor(
    readonly name: string,
    readonly file: string,
    private readonly terminal: Terminal,
  ) {}

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
      appendFileSync(this.file, line + '\n', { mode: 0o600 });
    } catch {
      // A full disk must not end the child; it will complain itself.
    }
    const { level, text } = read(line);
    if (level >= ERROR) this.lastError = text;
    if (this.terminal.verbose) this.terminal.line(`${this.name}: ${line}`);
    else if (level >= WARN && level < FATAL && this.mayShow()) this.terminal.line(`${this.name}: ${text}`);
  }

  private mayShow(): boolean {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.minute) [this.minute, this.shown] = [minute, 0];
    return ++this.shown <= MAX_LINES_PER_MINUTE;
  }
}

/** Level and message of a line from pino; level 0 for any other line. */
function read(line: string): { level: number; text: string } {
  if (!line.startsWith('{')) return { level: 0, text: '' };
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
