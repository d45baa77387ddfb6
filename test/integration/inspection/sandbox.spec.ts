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
import { findProgram, InspectionFailed, type InspectionOptions, Inspector } from '#libs/inspection';
import { officeParts, zipArchive } from '#libs/inspection/testing';
import { closedFolderAbove } from '../../../libs/inspection/src/file-view.js';
import { until } from '../../support/until.js';
import { startInspection } from './inspection.js';

const READERS = path.join(import.meta.dirname, 'sandbox-readers.ts');
const PARENT = path.join(import.meta.dirname, 'sandbox-parent.ts');
const DIST = path.resolve(import.meta.dirname, '../../../dist');

const DOCX = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

/** A niced reader gets its seconds from a busy machine in its own time. */
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
/** A zombie is one that nobody asked about yet. */
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
/** As the readers name it. */
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

/** Real: processes, their isolation, the channel. What they read with is the test's. */
(isSkipped ? describe.skip : describe)('processes that look into files', () => {
  const spoolFolder = mkdtempSync(path.join(tmpdir(), 'spool-'));
  let module: TestingModule | undefined;
  let inspector: Inspector;

  beforeAll(() => chmod(spoolFolder, 0o711));
  afterAll(() => rmSync(spoolFolder, { recursive: true }));
  afterEach(async () => {
    await module?.close();
    module = undefined;
  });

  async function start(options: Partial<InspectionOptions> = {}) {
    module = await startInspection(spoolFolder, {
      maxPixels: 1,
      maxFrames: 1,
      readers: [READERS],
      ...options,
    });
    inspector = module.get(Inspector);
  }

  function inspect(deed: string, signal?: AbortSignal, content = 'x') {
    const file = path.join(spoolFolder, `${deed}-${crypto.randomUUID()}`);
    writeFileSync(file, content, { mode: 0o644 });
    const request = { path: file, sizeBytes: content.length, detected: `test/${deed}`, profiles: [] };
    return inspector.inspect(request, signal);
  }
  /** Of the process that answered, which may have been replaced since. */
  const idOf = async (deed = 'pid') => (await inspect(deed)).properties.pageCount!;
  const pidOf = async (deed = 'pid') => {
    const id = await idOf(deed);
    return pidNamed(deed.startsWith('start') ? `program-${id}` : `reader-${id}`);
  };

  it.each([
    ['exits', 'exit', {}, /exit code 7/],
    ['crashes', 'abort', {}, /SIG(SEGV|ABRT|ILL|TRAP)/],
    ['throws when nobody listens', 'late-throw', {}, /exit code 1/],
    ['loops for ever', 'loop', { seconds: 1 }, /not done after 1 s/],
    ['waits for ever', 'wait', { seconds: 3 }, /not done after 3 s/],
    ['bloats', 'bloat', {}, /more than 536870912 bytes of memory/],
    ['bloats at once', 'bloat-at-once', {}, /RangeError|bytes of memory|SIG|exit code/],
    ['speaks out of turn', 'speak-twice', {}, /out of turn/],
    ['writes noise', 'write-noise', {}, /no answer/],
    ['writes what is no JSON', 'write-what-is-no-json', {}, /no answer/],
    ['writes what Node.js would take for its own', 'write-what-node-sends-itself', {}, /out of turn/],
    ['declares a long text', 'declare-a-long-text', {}, /no answer/],
    ['declares much beside it', 'declare-much-beside-it', {}, /no answer/],
    ['refers to nothing', 'refer-to-nothing', {}, /no answer/],
    ['writes without end', 'write-without-end', {}, /no answer/],
    ['writes half a message', 'write-half-a-message', { seconds: 3 }, /not done after 3 s/],
    ['nests what it says', 'nest-deep', {}, /no answer|out of turn/],
    ['answers what was not asked', 'nonsense', {}, /nonsense/],
  ])('fails one look when a reader %s', async (_, deed, options, message) => {
    await start(options);
    const before = await pidOf();
    const failure = inspect(deed);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(InspectionFailed);
    const after = await pidOf();
    if (deed !== 'nonsense') {
      expect(after).not.toBe(before);
      await gone(before);
    }
    await expect(inspector.check()).resolves.toBeUndefined();
  });

  it('takes what a reader throws of its own for a file in which it found nothing', async () => {
    await start();
    expect(await inspect('throw')).toMatchObject({ detected: 'test/throw', refusal: null, opaque: null });
  });

  it('goes on when a reader has left a rejection to nobody', async () => {
    await start();
    const pid = await pidOf('leave-a-rejection');
    for (let look = 0; look < 3; look++) expect(await pidOf()).toBe(pid);
  });

  it.each([
    ['a guard throws of its own', 'fail-to-guard', /TypeError/],
    ['a reader got no memory from V8', 'lack-a-buffer', /RangeError/],
    ['a reader got no memory for a decoder', 'lack-what-a-decoder-needs', /could not be read: Error/],
    ['a reader got no memory from the system', 'lack-a-page', /ENOMEM/],
  ])('has looked at nothing when %s, and goes on', async (_, deed, message) => {
    await start();
    const pid = await pidOf();
    const failure = inspect(deed);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toBeInstanceOf(InspectionFailed);
    expect(await pidOf()).toBe(pid);
  });

  it('fails for a file that it cannot get at', async () => {
    await start();
    const file = path.join(spoolFolder, 'short');
    writeFileSync(file, 'x', { mode: 0o644 });
    const request = { sizeBytes: 2, detected: 'test/pid', profiles: [] };
    await expect(inspector.inspect({ ...request, path: file })).rejects.toThrow(InspectionFailed);
    await expect(inspector.inspect({ ...request, path: `${file}-not` })).rejects.toThrow(/ENOENT/);
    await expect(inspect('lose-the-file')).rejects.toThrow(/ENOENT/);
    await expect(inspector.inspect({ ...request, path: '/etc/passwd' })).rejects.toThrow(/ERR_ACCESS_DENIED/);
  });

  it('is aborted while it runs and while it waits', async () => {
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

  it('costs no process what was aborted before its turn', async () => {
    await start();
    const first = pidOf('burn');
    const waiting = new AbortController();
    const second = inspect('pid', waiting.signal);
    const third = pidOf();
    waiting.abort(new Error('no longer wanted'));
    await expect(second).rejects.toThrow('no longer wanted');
    expect(await third).toBe(await first);
  });

  it('does not take a process for slow when it was this one that stood still', async () => {
    await start({ seconds: 3 });
    await pidOf();
    const found = pidOf('burn');
    await delay(100);
    // The answer comes meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_000);
    expect(await found).toBeGreaterThan(0);
  });

  it('takes along what a reader started', async () => {
    await start({ seconds: 1, ffprobe: '/bin/sleep' });
    const pid = await pidOf('start-a-program');
    expect(isRunning(pid)).toBe(true);
    await expect(inspect('loop')).rejects.toThrow('not done');
    await gone(pid);
    const other = await pidOf('start-a-program');
    await expect(inspect('abort')).rejects.toThrow('SIG');
    await gone(other);
  });

  it('takes along what left its session and its group', async () => {
    await start({ seconds: 1, ffprobe: '/bin/sleep' });
    const pid = await pidOf('start-a-session');
    expect(isRunning(pid)).toBe(true);
    await expect(inspect('loop')).rejects.toThrow('not done');
    await gone(pid);
  });

  it('does a hundred tasks with two processes', async () => {
    await start({ processes: 2 });
    const warm = await until('both are there', async () => {
      const pids = new Set(await Promise.all([pidOf(), pidOf()]));
      return pids.size === 2 ? pids : null;
    });
    const pids = new Set(await Promise.all(Array.from({ length: 100 }, () => pidOf())));
    expect(pids).toEqual(warm);
    // One cannot meddle with the other.
    if (process.getuid?.() === 0) expect(new Set([...pids].map(userOf))).toEqual(new Set(['65520', '65521']));
  });

  it('serves first who came first', async () => {
    await start();
    const order: number[] = [];
    const asked = Array.from({ length: 50 }, (_, index) => index);
    await Promise.all(asked.map(async (index) => pidOf().then(() => order.push(index))));
    expect(order).toEqual(asked);
  });

  it.each<[string, Buffer, string, object]>([
    ['a document', zipArchive(officeParts(`${DOCX}.main+xml`)), 'application/zip', { detected: DOCX }],
    [
      'what is encrypted',
      zipArchive([{ name: 'a', lies: { flags: 1 } }]),
      'application/zip',
      { opaque: 'it is encrypted; remove its password and upload it again' },
    ],
    [
      'a picture that is an archive',
      zipArchive([{ name: 'a' }], { before: Buffer.from('89504e470d0a1a0a', 'hex') }),
      'image/png',
      { refusal: { code: 'TYPE_MISMATCH', message: expect.any(String) } },
    ],
  ])('looks into %s in all its isolation', async (_, bytes, detected, found) => {
    await start({ readers: [] });
    const file = path.join(spoolFolder, crypto.randomUUID());
    writeFileSync(file, bytes, { mode: 0o644 });
    const request = { path: file, sizeBytes: bytes.length, detected, profiles: [] };
    expect(await inspector.inspect(request)).toMatchObject(found);
    expect(await inspector.detect(Buffer.from('<svg/>'))).toBe('image/svg+xml');
  });

  it('replaces a process after so many tasks', async () => {
    await start({ recycleAfter: 3 });
    const ids: number[] = [];
    for (let i = 0; i < 9; i++) ids.push(await idOf());
    expect([ids[0], ids[3], ids[6]]).toEqual([ids[2], ids[5], ids[8]]);
    expect(new Set(ids).size).toBe(3);
  });

  it(
    'replaces a process before its limit of processor time would end it',
    async () => {
      await start({ seconds: 3 });
      const ids: number[] = [];
      for (let i = 0; i < 7; i++) ids.push(await idOf('burn'));
      expect(new Set(ids).size).toBeGreaterThan(1);
    },
    BUSY_TIMEOUT_MS,
  );

  it('replaces one that ends while it has nothing to do', async () => {
    await start();
    const pid = await pidOf();
    process.kill(pid, 'SIGKILL');
    await gone(pid);
    const next = await until('an answer', () => pidOf().catch(() => null));
    expect(next).not.toBe(pid);
  });

  it('says so when none can be started, does not spin, and is there again when one can', async () => {
    const missing = path.join(spoolFolder, 'readers.mjs');
    await start({ readers: [missing] });
    await expect(inspector.detect(Buffer.from('x'))).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(inspector.check()).rejects.toMatchObject({ reason: 'INSPECTION_UNAVAILABLE' });
    await expect(inspector.detect(Buffer.from('x'))).rejects.toMatchObject({ kind: 'unavailable' });
    writeFileSync(missing, 'export const READERS = [];', { mode: 0o644 });
    const type = await until('an answer', () => inspector.detect(Buffer.from('x')).catch(() => null));
    expect(type).toBe('text/plain');
    // Each kind of process comes back in its own time.
    await until('all are there', () =>
      inspector.check().then(
        () => true,
        () => null,
      ),
    );
  });

  it('ends what runs before it closes, and refuses what waits', async () => {
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
    await expect(inspector.detect(Buffer.from('x'))).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('sees no environment, no network, no files, and is of no known user', async () => {
    await start();
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    const { title } = (await inspect('checkObject', undefined, String(port))).properties;
    server.close();
    const seen = JSON.parse(title!) as Record<string, unknown>;
    expect(seen).toMatchObject({
      env: [],
      interfaces: [],
      priority: 10,
      processes: [1, 0],
      passwd: 'ERR_ACCESS_DENIED',
      spool: 'ERR_ACCESS_DENIED',
      write: 'ERR_ACCESS_DENIED',
      program: 'ERR_ACCESS_DENIED',
    });
    expect(seen.connect).toMatch(/ENETUNREACH|EADDRNOTAVAIL|EINVAL/);
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
      expect(seen).toMatchObject({ user: [65_520, 65_520, [65_520]] });
    }
  });

  describe('when their parent is killed', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'programs-'));
    // Root needs it for another user; it leaves out what would end the child with its parent.
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

    // Without the programs that make a mount namespace, root's readers can read no checkout in a folder that only root may enter.
    const isShown = process.getuid!() !== 0 || closedFolderAbove(PARENT) === null;
    const withThose: [what: string, type: string, cpuSeconds: string, folders: string[]][] = [
      ['end with their channel', '', '600', [folder]],
      ['end with their channel while they wait for something', 'test/tick', '600', [folder]],
      ['run out of processor time while they loop', 'test/loop', '2', [folder]],
    ];
    it.each<(typeof withThose)[number]>([
      ['are ended by the kernel while they loop', 'test/loop', '600', []],
      ...(isShown ? withThose : []),
    ])('%s', async (_, type, cpuSeconds, folders) => {
      const parent = spawn(process.execPath, [PARENT, DIST, type, cpuSeconds, ...folders], {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { SIZE: String(statSync(PARENT).size) },
      });
      await once(parent.stdout, 'data');
      const [child, ...others] = childrenOf(parent.pid!);
      expect(others).toEqual([]);
      // A chain: the first of a PID namespace has a parent that waits for it.
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
