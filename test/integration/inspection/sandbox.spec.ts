import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { chmod } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { findProgram, InspectionFailed, type InspectionConfig, Inspector } from '#libs/inspection';
import { officeParts, zipArchive } from '#libs/inspection/testing';
import { closedFolderAbove } from '../../../libs/inspection/src/file-view.js';
import { until } from '../../../libs/testing/src/until.js';
import { startInspection } from './inspection.js';

const READERS = path.join(import.meta.dirname, 'sandbox-readers.ts');
const PARENT = path.join(import.meta.dirname, 'sandbox-parent.ts');
const DIST = path.resolve(import.meta.dirname, '../../../dist');

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

/** A niced reader on a busy machine takes long to get its seconds of CPU time. */
const BUSY_TIMEOUT_MS = 600_000;

const needed = ['unshare', 'setpriv', 'prlimit'];
const isSkipped = process.env.CI !== 'true' && needed.some((name) => findProgram(name) === null);
if (isSkipped) process.stdout.write('skipped: isolation of processes (apt-get install util-linux)\n');

const stateOf = (pid: number) => {
  try {
    return /^State:\s*(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? null;
  } catch {
    return null;
  }
};
const userOf = (pid: number) => /^Uid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
/** A zombie has exited, but its parent has not reaped it yet. */
const isRunning = (pid: number) => ![null, 'Z', 'X'].includes(stateOf(pid));
const childrenOf = (parent: number) =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return new RegExp(`^PPid:\\s*${parent}$`, 'm').test(readFileSync(`/proc/${pid}/status`, 'latin1'));
      } catch {
        return false;
      }
    });
/** The process with this title, which a reader has set. */
const pidNamed = (name: string) =>
  until(`process ${name}`, () => {
    const pids = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
    return (
      Number(pids.find((pid) => commandOf(pid).startsWith(`${name}\0`) || commandOf(pid) === name)) || null
    );
  });
const commandOf = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
};
const gone = (pid: number) => until(`process ${pid} is gone`, () => (isRunning(pid) ? null : true));

/** Real: the processes, their isolation and the channel. The readers belong to the test. */
(isSkipped ? describe.skip : describe)('inspection processes', () => {
  const spoolFolder = mkdtempSync(path.join(tmpdir(), 'spool-'));
  let module: TestingModule | undefined;
  let inspector: Inspector;

  beforeAll(() => chmod(spoolFolder, 0o711));
  afterAll(() => rmSync(spoolFolder, { recursive: true }));
  afterEach(async () => {
    await module?.close();
    module = undefined;
  });

  async function start(config: Partial<InspectionConfig> = {}) {
    module = await startInspection(spoolFolder, {
      maxPixels: 1,
      maxFrames: 1,
      readers: [READERS],
      ...config,
    });
    inspector = module.get(Inspector);
  }

  function inspect(behaviour: string, signal?: AbortSignal, content = 'x') {
    const file = path.join(spoolFolder, `${behaviour}-${crypto.randomUUID()}`);
    writeFileSync(file, content, { mode: 0o644 });
    const request = { path: file, sizeBytes: content.length, detected: `test/${behaviour}`, profiles: [] };
    return inspector.inspect(request, signal);
  }
  /** Id of the process that answered; the process may have been replaced since. */
  const idOf = async (behaviour = 'pid') => (await inspect(behaviour)).properties.pageCount!;
  const pidOf = async (behaviour = 'pid') => {
    const id = await idOf(behaviour);
    return pidNamed(behaviour.startsWith('start') ? `program-${id}` : `reader-${id}`);
  };

  it.each([
    ['exits', 'exit', {}, /exit code 7/],
    ['crashes', 'abort', {}, /SIG(SEGV|ABRT|ILL|TRAP)/],
    ['throws in a later tick', 'late-throw', {}, /exit code 1/],
    ['loops forever', 'loop', { seconds: 1 }, /not done after 1 s/],
    ['waits forever', 'wait', { seconds: 3 }, /not done after 3 s/],
    ['allocates too much memory slowly', 'bloat', {}, /more than 536870912 bytes of memory/],
    ['allocates too much memory at once', 'bloat-at-once', {}, /RangeError|bytes of memory|SIG|exit code/],
    ['answers out of turn', 'speak-twice', {}, /out of turn/],
    ['writes noise', 'write-noise', {}, /no answer/],
    ['writes invalid JSON', 'write-invalid-json', {}, /no answer/],
    ['writes an internal message of Node.js', 'write-a-node-message', {}, /out of turn/],
    ['declares a long text', 'declare-a-long-text', {}, /no answer/],
    ['declares a long attachment', 'declare-a-long-attachment', {}, /no answer/],
    ['refers to missing bytes', 'refer-to-missing-bytes', {}, /no answer/],
    ['writes endlessly', 'write-without-end', {}, /no answer/],
    ['writes half a message', 'write-half-a-message', { seconds: 3 }, /not done after 3 s/],
    ['nests its answer deeply', 'nest-deep', {}, /no answer|out of turn/],
    ['returns a rendition that was not requested', 'nonsense', {}, /nonsense/],
  ])('fails one inspection when a reader %s', async (_, behaviour, options, message) => {
    await start(options);
    const before = await pidOf();
    const failure = inspect(behaviour);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(InspectionFailed);
    const after = await pidOf();
    if (behaviour !== 'nonsense') {
      expect(after).not.toBe(before);
      await gone(before);
    }
    await expect(inspector.check()).resolves.toBeUndefined();
  });

  it('treats an exception of a reader as an empty result', async () => {
    await start();
    expect(await inspect('throw')).toMatchObject({ detected: 'test/throw', refusal: null, opaque: null });
  });

  it('keeps the process after an unhandled rejection', async () => {
    await start();
    const pid = await pidOf('leave-a-rejection');
    for (let round = 0; round < 3; round++) expect(await pidOf()).toBe(pid);
  });

  it.each([
    ['a guard throws', 'fail-to-guard', /TypeError/],
    ['V8 has no memory for a reader', 'lack-a-buffer', /RangeError/],
    ['a decoder has no memory', 'lack-decoder-memory', /could not be read: Error/],
    ['the system has no memory for a reader', 'lack-a-page', /ENOMEM/],
  ])('fails the inspection and keeps the process when %s', async (_, behaviour, message) => {
    await start();
    const pid = await pidOf();
    const failure = inspect(behaviour);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(InspectionFailed);
    expect(await pidOf()).toBe(pid);
  });

  it('fails for a file that cannot be read', async () => {
    await start();
    const file = path.join(spoolFolder, 'short');
    writeFileSync(file, 'x', { mode: 0o644 });
    const request = { sizeBytes: 2, detected: 'test/pid', profiles: [] };
    await expect(inspector.inspect({ ...request, path: file })).rejects.toThrow(InspectionFailed);
    await expect(inspector.inspect({ ...request, path: `${file}-not` })).rejects.toThrow(/ENOENT/);
    await expect(inspect('lose-the-file')).rejects.toThrow(/ENOENT/);
    await expect(inspector.inspect({ ...request, path: '/etc/passwd' })).rejects.toThrow(/ERR_ACCESS_DENIED/);
  });

  it('aborts a running and a waiting inspection', async () => {
    await start();
    const pid = await pidOf();
    const [running, waiting] = [new AbortController(), new AbortController()];
    const first = inspect('loop', running.signal);
    const second = inspect('pid', waiting.signal);
    const third = pidOf();
    waiting.abort(new Error('no longer wanted'));
    await expect(second).rejects.toThrow('no longer wanted');
    running.abort(new Error('stopping'));
    await expect(first).rejects.toThrow('stopping');
    expect(await third).not.toBe(pid);
    await gone(pid);
    await expect(inspect('pid', AbortSignal.abort(new Error('from the start')))).rejects.toThrow('start');
  });

  it('keeps the process when a waiting inspection is aborted', async () => {
    await start();
    const first = pidOf('burn');
    const waiting = new AbortController();
    const second = inspect('pid', waiting.signal);
    const third = pidOf();
    waiting.abort(new Error('no longer wanted'));
    await expect(second).rejects.toThrow('no longer wanted');
    expect(await third).toBe(await first);
  });

  it('does not time out a child while the parent itself is blocked', async () => {
    await start({ seconds: 3 });
    await pidOf();
    const found = pidOf('burn');
    await delay(100);
    // The answer arrives while the parent is blocked.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000);
    expect(await found).toBeGreaterThan(0);
  });

  it('ends the programs that a reader started', async () => {
    await start({ seconds: 1, ffprobe: '/bin/sleep' });
    const pid = await pidOf('start-a-program');
    expect(isRunning(pid)).toBe(true);
    await expect(inspect('loop')).rejects.toThrow('not done');
    await gone(pid);
    const other = await pidOf('start-a-program');
    await expect(inspect('abort')).rejects.toThrow('SIG');
    await gone(other);
  });

  it('ends programs that left the session and the process group', async () => {
    await start({ seconds: 1, ffprobe: '/bin/sleep' });
    const pid = await pidOf('start-a-session');
    expect(isRunning(pid)).toBe(true);
    await expect(inspect('loop')).rejects.toThrow('not done');
    await gone(pid);
  });

  it('runs a hundred tasks in two processes', async () => {
    await start({ processes: 2 });
    const warm = await until('both processes answer', async () => {
      const pids = new Set(await Promise.all([pidOf(), pidOf()]));
      return pids.size === 2 ? pids : null;
    });
    const pids = new Set(await Promise.all(Array.from({ length: 100 }, () => pidOf())));
    expect(pids).toEqual(warm);
    // Separate users keep one process from signalling the other.
    if (process.getuid?.() === 0) expect(new Set([...pids].map(userOf))).toEqual(new Set(['65520', '65521']));
  });

  it('serves requests in order', async () => {
    await start();
    const order: number[] = [];
    const asked = Array.from({ length: 50 }, (_, index) => index);
    await Promise.all(asked.map(async (index) => pidOf().then(() => order.push(index))));
    expect(order).toEqual(asked);
  });

  it.each<[string, Buffer, string, object]>([
    ['a document', zipArchive(officeParts(`${DOCX}.main+xml`)), 'application/zip', { detected: DOCX }],
    [
      'an encrypted archive',
      zipArchive([{ name: 'a', lies: { flags: 1 } }]),
      'application/zip',
      { opaque: 'it is encrypted; remove its password and upload it again' },
    ],
    [
      'an archive with a PNG signature',
      zipArchive([{ name: 'a' }], { before: Buffer.from('89504e470d0a1a0a', 'hex') }),
      'image/png',
      { refusal: { code: 'TYPE_MISMATCH', message: expect.any(String) } },
    ],
  ])('inspects %s in full isolation', async (_, bytes, detected, found) => {
    await start({ readers: [] });
    const file = path.join(spoolFolder, crypto.randomUUID());
    writeFileSync(file, bytes, { mode: 0o644 });
    const request = { path: file, sizeBytes: bytes.length, detected, profiles: [] };
    expect(await inspector.inspect(request)).toMatchObject(found);
    expect(await inspector.detect(Buffer.from('<svg/>'), 6)).toBe('image/svg+xml');
  });

  it('replaces a process after its maximum number of tasks', async () => {
    await start({ recycleAfter: 3 });
    const ids: number[] = [];
    for (let i = 0; i < 9; i++) ids.push(await idOf());
    expect([ids[0], ids[3], ids[6]]).toEqual([ids[2], ids[5], ids[8]]);
    expect(new Set(ids).size).toBe(3);
  });

  it(
    'replaces a process before it reaches its limit of CPU time',
    async () => {
      await start({ seconds: 3 });
      const ids: number[] = [];
      for (let i = 0; i < 7; i++) ids.push(await idOf('burn'));
      expect(new Set(ids).size).toBeGreaterThan(1);
    },
    BUSY_TIMEOUT_MS,
  );

  it('replaces an idle process that exits', async () => {
    await start();
    const pid = await pidOf();
    process.kill(pid, 'SIGKILL');
    await gone(pid);
    const next = await until('an answer', () => pidOf().catch(() => null));
    expect(next).not.toBe(pid);
  });

  it('reports that no process can start, does not spin, and recovers when one can', async () => {
    const missing = path.join(spoolFolder, 'readers.mjs');
    await start({ readers: [missing] });
    await expect(inspector.detect(Buffer.from('x'), 1)).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(inspector.check()).rejects.toMatchObject({ reason: 'INSPECTION_UNAVAILABLE' });
    await expect(inspector.detect(Buffer.from('x'), 1)).rejects.toMatchObject({ kind: 'unavailable' });
    writeFileSync(missing, 'export const READERS = [];', { mode: 0o644 });
    const type = await until('an answer', () => inspector.detect(Buffer.from('x'), 1).catch(() => null));
    expect(type).toBe('text/plain');
    // Each kind of process restarts on its own schedule.
    await until('all processes are ready', () =>
      inspector.check().then(
        () => true,
        () => null,
      ),
    );
  });

  it('finishes the running inspection on close and rejects the waiting one', async () => {
    await start({ seconds: 3 });
    const pid = await pidOf();
    const [first, second] = [inspect('wait'), inspect('pid')];
    const ends = Promise.allSettled([first, second]);
    await module?.close();
    const [ran, waited] = await ends;
    expect(ran).toMatchObject({
      reason: expect.objectContaining({ message: expect.stringMatching('not done') }),
    });
    expect(waited).toMatchObject({ reason: { kind: 'unavailable' } });
    await gone(pid);
    await expect(inspector.detect(Buffer.from('x'), 1)).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('isolates readers from the environment, the network and files, under a user of their own', async () => {
    await start();
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const { title } = (await inspect('report-isolation', undefined, String(port))).properties;
    server.close();
    const observed = JSON.parse(title!) as Record<string, unknown>;
    expect(observed).toMatchObject({
      env: [],
      interfaces: [],
      priority: 10,
      processes: [1, 0],
      passwd: 'ERR_ACCESS_DENIED',
      spool: 'ERR_ACCESS_DENIED',
      write: 'ERR_ACCESS_DENIED',
      program: 'ERR_ACCESS_DENIED',
    });
    expect(observed.connect).toMatch(/ENETUNREACH|EADDRNOTAVAIL|EINVAL/);
    const limits = readFileSync(`/proc/${await pidOf()}/limits`, 'latin1').replaceAll(/ +/g, ' ');
    for (const limit of [
      `Max cpu time ${2 * 20} `,
      `Max data size ${2 ** 30 + 512 * 2 ** 20} `,
      ...['Max file size 0 ', 'Max core file size 0 0 ', 'Max open files 256 '],
    ]) {
      expect(limits).toContain(limit);
    }
    const isRoot = process.getuid?.() === 0;
    expect(inspector.isolation).toEqual([
      'no-network',
      'own-processes',
      ...(isRoot ? ['other-user'] : []),
      ...['no-capabilities', 'no-new-privileges', 'dies-with-parent', 'limits', 'file-permissions'],
    ]);
    if (isRoot) {
      expect(observed).toMatchObject({ user: [65_520, 65_520, [65_520]] });
    }
  });

  describe('when their parent is killed', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'programs-'));
    // Root needs setpriv to change the user; this wrapper drops the option that kills the child with its parent.
    const setpriv = `#!/bin/sh
for word; do
  shift
  case $word in --pdeathsig | KILL) ;; *) set -- "$@" "$word" ;; esac
done
exec ${findProgram('setpriv')} "$@"
`;
    beforeAll(async () => {
      symlinkSync(findProgram('prlimit')!, path.join(folder, 'prlimit'));
      writeFileSync(path.join(folder, 'setpriv'), setpriv, { mode: 0o755 });
      await chmod(folder, 0o755);
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    // Without a mount namespace, root's readers cannot read a checkout in a folder that only root may enter.
    const isReadable = process.getuid!() !== 0 || closedFolderAbove(PARENT) === null;
    const withoutNamespaces: [what: string, type: string, cpuSeconds: string, folders: string[]][] = [
      ['exit when their channel closes', '', '600', [folder]],
      ['exit when their channel closes while they wait', 'test/tick', '600', [folder]],
      ['reach their limit of CPU time while they loop', 'test/loop', '2', [folder]],
    ];
    it.each<(typeof withoutNamespaces)[number]>([
      ['are killed by the kernel while they loop', 'test/loop', '600', []],
      ...(isReadable ? withoutNamespaces : []),
    ])('%s', async (_, type, cpuSeconds, folders) => {
      const parent = spawn(process.execPath, [PARENT, DIST, type, cpuSeconds, ...folders], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { SIZE: String(statSync(PARENT).size) },
      });
      await once(parent.stdout, 'data');
      const [child, ...others] = childrenOf(parent.pid!);
      expect(others).toEqual([]);
      // The first process of a PID namespace is the child of a waiting process: follow the chain.
      let reader = child!;
      for (let next = [reader]; next.length > 0; next = childrenOf(reader)) reader = next[0]!;
      expect(isRunning(reader)).toBe(true);
      parent.kill('SIGKILL');
      await once(parent, 'exit');
      await gone(child!);
      await gone(reader);
    });
  });
});
