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
const WARN = 40;

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
 * terminal in one short line each.
 */
export class ChildLog {
  /** The last thing it complained about, or else wrote to its error output; undefined when it did neither. */
  lastComplaint: string | undefined;
  private shown = 0;
  private minute = 0;

  constructor(
    readonly name: string,
    readonly file: string,
    private readonly terminal: Terminal,
  ) {}

  follow(stdout: Readable, stderr: Readable): void {
    createInterface({ input: stdout }).on('line', (line) => this.write(line));
    createInterface({ input: stderr }).on('line', (line) => {
      if (!TRACE.test(line)) this.lastComplaint = line.slice(0, MAX_LINE);
      this.write(line);
    });
  }

  private write(line: string): void {
    try {
      appendFileSync(this.file, line + '\n', { mode: 0o600 });
    } catch {
      // A full disk must not end the child; it will complain itself.
    }
    const complaint = complaintIn(line);
    if (complaint !== undefined) this.lastComplaint = complaint;
    if (this.terminal.verbose) this.terminal.line(`${this.name}: ${line}`);
    else if (complaint !== undefined && this.mayShow()) this.terminal.line(`${this.name}: ${complaint}`);
  }

  private mayShow(): boolean {
    const minute = Math.floor(Date.now() / 60_000);
    if (minute !== this.minute) [this.minute, this.shown] = [minute, 0];
    return ++this.shown <= MAX_LINES_PER_MINUTE;
  }
}

/** The message of a line from pino at warn or above, or of an error that Node prints. */
function complaintIn(line: string): string | undefined {
  if (!line.startsWith('{')) return /^\w*Error\b.*?: (.*)/.exec(line)?.[1]?.slice(0, MAX_LINE);
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: number;
      msg?: unknown;
      err?: { message?: unknown };
    };
    if (level === undefined || level < WARN) return undefined;
    const parts = [msg, err?.message].filter((part) => typeof part === 'string' && part !== '');
    return [...new Set(parts)].join(': ').replaceAll(/\s+/g, ' ').slice(0, MAX_LINE);
  } catch {
    return undefined;
  }
}
