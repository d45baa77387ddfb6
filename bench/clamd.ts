import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { built } from './built.ts';
import type { Stack } from './stack.ts';

const START_MS = 60_000;
const POLL_MS = 50;

/** Settings that affect verdicts, and limits above every file of the benchmark. */
const SETTINGS = {
  Foreground: 'yes',
  TCPAddr: '127.0.0.1',
  AlertExceedsMax: 'yes',
  AlertEncrypted: 'yes',
  ScanImageFuzzyHash: 'no',
  StreamMaxLength: '2000M',
  MaxFileSize: '2000M',
  MaxScanSize: '2000M',
};

export const needsClamd = (): string | null =>
  spawnSync('clamd', ['--version']).status === 0
    ? null
    : 'clamd is not on the PATH (apt-get install clamav-daemon clamav)';

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .setTimeout(START_MS, () => socket.destroy())
      .once('data', (data: Buffer) => resolve(data.toString() === 'PONG\0'))
      .on('error', () => resolve(false))
      .once('close', () => resolve(false));
    socket.write('zPING\0');
  });

/**
 * Runs `work` while clamd listens on a local port. Its only signature is that of EICAR. ClamAV's own signatures would make
 * scans slower, but clamd processes files in the same way.
 */
export async function withClamd<T>(stack: Stack, work: (port: number) => Promise<T>): Promise<T> {
  const { EICAR } = await built<typeof import('../libs/scanner/src/eicar.ts')>('libs/scanner/src/eicar');
  const folder = path.join(stack.folder, 'clamd');
  const signatures = path.join(folder, 'signatures');
  const temporary = path.join(folder, 'temporary');
  await Promise.all([signatures, temporary].map((each) => mkdir(each, { recursive: true })));
  await writeFile(path.join(signatures, 'eicar.ndb'), `Eicar:0:0:${EICAR.toString('hex')}\n`);
  const port = await freePort();
  const settings = {
    ...SETTINGS,
    TCPSocket: port,
    DatabaseDirectory: signatures,
    TemporaryDirectory: temporary,
    LogFile: path.join(folder, 'log'),
  };
  const file = path.join(folder, 'clamd.conf');
  const lines = Object.entries(settings).map((pair) => pair.join(' '));
  await writeFile(file, `${lines.join('\n')}\n`);
  return stack.withProgram('clamd', ['--config-file', file], async (clamd) => {
    for (const end = Date.now() + START_MS; !(await answers(port)); await delay(POLL_MS)) {
      if (clamd.exitCode !== null || Date.now() > end) throw new Error('clamd did not start');
    }
    return work(port);
  });
}
