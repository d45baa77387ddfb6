/** What hostile files may make of a process that reads them. Loaded by the children, as it is: types are stripped by Node.js. */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';

/** Its process id in a namespace of its own says nothing: the test finds it by this name. */
const id = randomInt(2 ** 31);
process.title = `reader-${id}`;

function startSleep(options: { detached?: boolean } = {}) {
  const program = randomInt(2 ** 31);
  spawn('/bin/sleep', ['1000'], { ...options, argv0: `program-${program}`, stdio: 'ignore' });
  return { properties: { pageCount: program } };
}

const kept: Buffer[] = [];
const never = () => new Promise<never>(() => undefined);

function codeOf(deed: () => unknown): string {
  try {
    deed();
    return 'done';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** All of it: the channel takes as much as the parent has left room for. */
function write(bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(3, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

/** As the channel has it: the length of a text, that of what follows it, the text. */
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

const DEEDS: Record<string, (path: string) => unknown> = {
  exit: () => process.exit(7),
  // A signal to itself would be ignored in the first process of a namespace.
  abort: () => process.abort(),
  throw: () => {
    throw new TypeError('a reader that is wrong');
  },
  'fail-to-guard': () => {
    throw new TypeError('a reader that is wrong');
  },
  'lack-a-buffer': () => {
    throw new RangeError('Array buffer allocation failed');
  },
  'lack-what-a-decoder-needs': () => {
    throw new Error('Insufficient memory (case 4)');
  },
  'lack-a-page': () => {
    throw Object.assign(new Error('cannot be mapped'), { code: 'ENOMEM' });
  },
  'late-throw': () => {
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
    return never();
  },
  'leave-a-rejection': () => {
    setTimeout(() => void Promise.reject(new Error('nobody handles this')), 0);
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
  // Slowly, so that nothing but its parent's look at it ends it.
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
  'write-what-is-no-json': () => {
    write(frame('{"id":'));
    return never();
  },
  'write-what-node-sends-itself': () => {
    write(frame('{"cmd":"NODE_HANDLE_ACK"}'));
    return never();
  },
  'declare-a-long-text': () => {
    write(frame('{', 2 ** 20 + 1));
    return never();
  },
  'declare-much-beside-it': () => {
    write(frame('{}', 2, 2 ** 24));
    return never();
  },
  'refer-to-nothing': () => {
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
  look: async (path: string) => ({
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

export const READERS = Object.entries(DEEDS).map(([name, deed]) => ({
  types: new RegExp(`^test/${name}$`),
  isGuard: name === 'fail-to-guard',
  load: () => Promise.resolve({ read: async ({ path }: { path: string }) => (await deed(path)) ?? {} }),
}));
