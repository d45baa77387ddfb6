import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe } from '@jest/globals';
import { EICAR } from '../../libs/scanner/src/eicar.js';
import { freePort } from './postgres.js';
import { until } from '../../libs/testing/src/until.js';

/** Contents that the test signatures detect: bytes anywhere in a file, and a whole file by its hash. */
export const MARKER = Buffer.from('A byte string that only the suites of Stowage know');
export const KNOWN_BAD = Buffer.from('A content that is bad as a whole');
/** 44 files that each hold the program of the signature `testfile.hdb` (Debian package clamav-testfiles). */
export const TEST_FILES = '/usr/share/clamav-testfiles';

const digest = (algorithm: string, bytes: Buffer) => createHash(algorithm).update(bytes).digest('hex');
/** File name and content of each signature file (clamav.net, "Writing signatures"). */
const SIGNATURES: Readonly<Record<string, string>> = {
  'eicar.ndb': `Stowage.Eicar:0:0:${EICAR.toString('hex')}`,
  'marker.ndb': `Stowage.Marker:0:*:${MARKER.toString('hex')}`,
  'known.hsb': `${digest('sha256', KNOWN_BAD)}:${KNOWN_BAD.length}:Stowage.KnownBad:73`,
  'testfile.hdb': 'aa15bcf478d165efd2065190eb473bcb:544:ClamAV-Test-File',
};

export type Settings = Readonly<Record<string, string | number>>;
/** The settings of docker/clamd.conf that affect verdicts, with small limits that tests exceed quickly. */
const SETTINGS: Settings = {
  AlertExceedsMax: 'yes',
  AlertEncrypted: 'yes',
  ScanImageFuzzyHash: 'no',
  StreamMaxLength: '16M',
  MaxFileSize: '12M',
  MaxScanSize: '64M',
};

/** Waits until the test process ends in any way, then kills clamd and removes its folder. */
const GUARD = `cat >/dev/null; kill -9 "$(cat "$1/pid")" 2>/dev/null; rm -rf "$1"`;

interface TestClamdOptions {
  /** Settings that are added to the defaults or replace them. */
  readonly settings?: Settings;
  /** Listens on a Unix socket instead of a port. */
  readonly socket?: boolean;
  /** Names of signature files to leave out. */
  readonly without?: readonly string[];
}

/** A clamd with its own signatures and folder. It ends with this process, even when that is killed. */
export class TestClamd implements AsyncDisposable {
  static async start({
    settings = {},
    socket = false,
    without = [],
  }: TestClamdOptions = {}): Promise<TestClamd> {
    const folder = await mkdtemp(path.join(tmpdir(), 'stowage-clamd-'));
    const port = socket ? null : await freePort();
    const clamd = new TestClamd(folder, port);
    try {
      await Promise.all([mkdir(clamd.temporary), mkdir(path.join(folder, 'signatures'))]);
      for (const [name, line] of Object.entries(SIGNATURES)) {
        if (!without.includes(name)) await writeFile(path.join(folder, 'signatures', name), `${line}\n`);
      }
      await clamd.run(settings);
    } catch (error) {
      await clamd[Symbol.asyncDispose]();
      throw error;
    }
    return clamd;
  }

  /** Address in the form that {@link ClamdScanner} takes. */
  readonly address: string;
  /** Folder in which clamd stores the content that it receives. */
  readonly temporary: string;
  private readonly guard: ChildProcess;
  private daemon: ChildProcess | undefined;

  private constructor(
    private readonly folder: string,
    private readonly port: number | null,
  ) {
    this.address = port === null ? `unix:${folder}/socket` : `127.0.0.1:${port}`;
    this.temporary = path.join(folder, 'temporary');
    this.guard = spawn('/bin/sh', ['-c', GUARD, 'sh', folder], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
  }

  /** Starts or restarts clamd and waits until it answers. */
  async run(settings: Settings = {}): Promise<void> {
    const lines = Object.entries({
      Foreground: 'yes',
      DatabaseDirectory: path.join(this.folder, 'signatures'),
      TemporaryDirectory: this.temporary,
      LogFile: path.join(this.folder, 'log'),
      ...(this.port === null
        ? { LocalSocket: path.join(this.folder, 'socket') }
        : { TCPSocket: this.port, TCPAddr: '127.0.0.1' }),
      ...SETTINGS,
      ...settings,
    }).map((pair) => pair.join(' '));
    const file = path.join(this.folder, 'clamd.conf');
    await writeFile(file, `${lines.join('\n')}\n`);
    const daemon = spawn('clamd', ['--config-file', file], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.daemon = daemon;
    const errors = text(daemon.stderr);
    await once(daemon, 'spawn');
    await writeFile(path.join(this.folder, 'pid'), String(daemon.pid));
    await until('clamd answers', async () => {
      if (daemon.exitCode !== null) throw new Error(`clamd ended: ${await errors}`);
      return (await this.answers()) ? true : null;
    });
  }

  /** Processor time used so far, in seconds. */
  async processorSeconds(): Promise<number> {
    const stat = await readFile(`/proc/${this.daemon?.pid}/stat`, 'utf8');
    const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
    return (user + system) / 100;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const { daemon } = this;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exit = once(daemon, 'exit');
    daemon.kill(signal);
    await exit;
  }

  /** Stops the process without ending it: the kernel keeps accepting connections for it. */
  pause(): void {
    this.daemon?.kill('SIGSTOP');
  }

  resume(): void {
    this.daemon?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    const exit = once(this.guard, 'exit');
    this.guard.stdin?.end();
    await exit;
    await rm(this.folder, { recursive: true, force: true });
  }

  private answers(): Promise<boolean> {
    const { port, folder } = this;
    const socket = port === null ? connect(path.join(folder, 'socket')) : connect(port, '127.0.0.1');
    return new Promise((resolve) => {
      socket
        .once('data', (data: Buffer) => resolve(data.toString() === 'PONG\0'))
        .on('error', () => resolve(false))
        .once('close', () => resolve(false))
        .write('zPING\0');
    });
  }
}

/** Whether clamd is installed. */
export const isClamdOnPath = (process.env.PATH ?? '').split(path.delimiter).some((folder) => {
  try {
    accessSync(path.join(folder, 'clamd'), constants.X_OK);
    return true;
  } catch {
    return false;
  }
});
const isMissing = !isClamdOnPath && process.env.CI !== 'true';

/** Describes a suite that needs clamd. Without clamd it is skipped with one line of output; in CI it fails. */
export function describeWithClamd(name: string, suite: () => void): void {
  if (isMissing) process.stdout.write(`skipped: ${name} (apt-get install clamav-daemon clamav-testfiles)\n`);
  (isMissing ? describe.skip : describe)(name, suite);
}
