/** Readers that misbehave as if a hostile file controlled them. Children load this source; Node.js strips types. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';

/** The process id in a PID namespace is useless outside, so the test finds the process by this title. */
const id = randomInt(2 ** 31);
process.title = `reader-${id}`;

function startSleep(options: { detached?: boolean } = {}) {
  const program = randomInt(2 ** 31);
  spawn('/bin/sleep', ['1000'], { ...options, argv0: `program-${program}`, stdio: 'ignore' });
  return { properties: { pageCount: program } };
}

const kept: Buffer[] = [];
const never = () => new Promise<never>(() => undefined);

function codeOf(action: () => unknown): string {
  try {
    action();
    return 'done';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Writes all bytes; the channel accepts only as many at once as its buffer has space for. */
function write(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(3, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** A frame of the channel: length of the text, length of the attached bytes, the text. */
function frame(text: string, declared = text.length, more = 0): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(declared, 0);
  head.writeUInt32BE(more, 4);
  return Buffer.concat([head, Buffer.from(text)]);
}

const connect = (port: number) =>
  new Promise<string>((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => resolve('connected'));
    socket.on('error', (error) => resolve((error as { code?: string }).code ?? 'error'));
  });

const BEHAVIOURS: Record<string, (path: string) => unknown> = {
  exit: () => process.exit(7),
  // The first process of a PID namespace ignores signals that it sends to itself.
  abort: () => process.abort(),
  throw: () => {
    throw new TypeError('a bug in a reader');
  },
  'fail-to-guard': () => {
    throw new TypeError('a bug in a reader');
  },
  'lack-a-buffer': () => {
    throw new RangeError('Array buffer allocation failed');
  },
  'lack-decoder-memory': () => {
    throw new Error('Insufficient memory (case 4)');
  },
  'lack-a-page': () => {
    throw Object.assign(new Error('cannot be mapped'), { code: 'ENOMEM' });
  },
  'late-throw': () => {
    setImmediate(() => {
      throw new Error('not caught');
    });
    return never();
  },
  'leave-a-rejection': () => {
    setTimeout(() => void Promise.reject(new Error('not handled')), 0);
    return { properties: { pageCount: id } };
  },
  loop: () => {
    for (;;);
  },
  burn: () => {
    const used = () => process.cpuUsage().user + process.cpuUsage().system;
    for (const end = used() + 600_000; used() < end;);
    return { properties: { pageCount: id } };
  },
  'lose-the-file': (path: string) => readFileSync(`${path}-that-is-not-there`),
  wait: never,
  tick: () => {
    setInterval(() => undefined, 1000);
    return never();
  },
  // Grows slowly, so that only the memory check of the parent ends the process.
  bloat: () => {
    setInterval(() => kept.push(Buffer.alloc(4 * 2 ** 20, 1)), 20);
    return never();
  },
  'bloat-at-once': () => {
    for (;;) kept.push(Buffer.alloc(64 * 2 ** 20, 1));
  },
  'speak-twice': () => {
    for (const id of ['', 'x']) write(frame(JSON.stringify({ id, cpuSeconds: 0, value: null })));
    return never();
  },
  'write-noise': () => {
    write(Buffer.alloc(4096, 0xff));
    return never();
  },
  'write-invalid-json': () => {
    write(frame('{"id":'));
    return never();
  },
  'write-a-node-message': () => {
    write(frame('{"cmd":"NODE_HANDLE_ACK"}'));
    return never();
  },
  'declare-a-long-text': () => {
    write(frame('{', 2 ** 20 + 1));
    return never();
  },
  'declare-a-long-attachment': () => {
    write(frame('{}', 2, 2 ** 24));
    return never();
  },
  'refer-to-missing-bytes': () => {
    write(frame('{"id":{"$bytes":{}}}'));
    return never();
  },
  'write-without-end': () => {
    setInterval(() => write(Buffer.alloc(1024, '[')), 1);
    return never();
  },
  'write-half-a-message': () => {
    write(frame('{"id":', 1000));
    return never();
  },
  'nest-deep': () => {
    write(frame('['.repeat(100_000) + ']'.repeat(100_000)));
    return never();
  },
  nonsense: () => ({
    renditions: [{ profile: { name: 'unasked' }, width: 1, height: 1, bytes: Buffer.alloc(1) }],
  }),
  'start-a-program': () => startSleep(),
  'start-a-session': () => startSleep({ detached: true }),
  pid: () => ({ properties: { pageCount: id } }),
  'report-isolation': async (path: string) => ({
    properties: {
      title: JSON.stringify({
        env: Object.keys(process.env),
        user: [process.getuid?.(), process.getgid?.(), process.getgroups?.()],
        interfaces: Object.keys(os.networkInterfaces()),
        connect: await connect(Number(readFileSync(path, 'utf8'))),
        priority: os.getPriority(),
        passwd: codeOf(() => readFileSync('/etc/passwd')),
        spool: codeOf(() => readdirSync('/')),
        write: codeOf(() => writeFileSync(`${path}.written`, 'x')),
        program: codeOf(() => spawn('/bin/true')),
        processes: [process.pid, process.ppid],
      }),
    },
  }),
};

export const READERS = Object.entries(BEHAVIOURS).map(([name, behave]) => ({
  types: new RegExp(`^test/${name}$`),
  isGuard: name === 'fail-to-guard',
  load: () => Promise.resolve({ read: async ({ path }: { path: string }) => (await behave(path)) ?? {} }),
}));
