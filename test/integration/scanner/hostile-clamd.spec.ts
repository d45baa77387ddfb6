import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ClamdScanner, type ClamdScannerOptions } from '#libs/scanner';
import { until } from '../../../libs/testing/src/until.js';
import { contentOf, DOWN, randomMebibytes, scan } from './contents.js';
import { type Behaviour, HostileClamd } from './hostile-clamd.js';

const WORDS = Buffer.from('Harmless words');
const MIB = 2 ** 20;

describe('ClamdScanner with a hostile clamd (real: TCP)', () => {
  let clamd: HostileClamd;
  beforeEach(async () => {
    clamd = await HostileClamd.start();
  });
  afterEach(() => clamd[Symbol.asyncDispose]());

  const scannerOf = (options: Partial<ClamdScannerOptions> = {}) =>
    new ClamdScanner({
      address: clamd.address,
      maxBytes: 100 * MIB,
      ...options,
    });
  /** Short timeouts that still suffice for an answer on a busy machine. */
  const impatient = () => scannerOf({ commandMs: 1000, idleMs: 1000, replyMs: 1000 });

  describe('after a whole content', () => {
    it.each<[string, Required<Pick<Behaviour, 'onEnd'>>['onEnd']]>([
      ['an answer of another protocol', (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n\0')],
      ['an answer to an unknown command', (socket) => socket.end('UNKNOWN COMMAND\0')],
      ['an empty answer', (socket) => socket.end('\0')],
      ['a full disk', (socket) => socket.end('Error writing to temporary file. ERROR\0')],
      ['a read timeout', (socket) => socket.end('COMMAND READ TIMED OUT\n')],
    ])('returns no verdict after %s', async (_, onEnd) => {
      clamd.behaviour = { onEnd };
      await expect(scan(scannerOf(), WORDS)).rejects.toMatchObject(DOWN);
    });

    it.each<[string, Required<Pick<Behaviour, 'onEnd'>>['onEnd']]>([
      ['a closed connection', (socket) => socket.end()],
      ['a reset', (socket) => socket.resetAndDestroy()],
      ['OK without its NUL', (socket) => socket.end('stream: OK')],
      ['half of OK', (socket) => socket.end('stream: O')],
      ['OK and a line end', (socket) => socket.end('stream: OK\n')],
      ['an endless name', (socket) => socket.write(`stream: ${'x'.repeat(MIB)}`)],
      ['an enormous name', (socket) => socket.end(`stream: ${'x'.repeat(MIB)} FOUND\0`)],
      ['no answer', () => undefined],
    ])('blames the content when a healthy daemon sends %s for the third time', async (_, onEnd) => {
      clamd.behaviour = { onEnd };
      const scanner = scannerOf({ replyMs: 5_000 });
      for (let turn = 1; turn < 3; turn++) await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      expect(await scan(scanner, WORDS)).toEqual({
        outcome: 'error',
        message: expect.stringMatching(/^The scanner failed repeatedly on this file: /) as unknown,
      });
    });

    it('does not blame the content if the daemon answers but cannot scan', async () => {
      const scanner = scannerOf();
      await scanner.check();
      clamd.behaviour = { onEnd: (socket) => socket.end(), onProbe: (socket) => socket.end() };
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      expect(clamd.contents).toEqual([WORDS]);
    });

    it('accepts an answer that is sent byte by byte', async () => {
      clamd.behaviour = {
        onEnd: (socket) => {
          const bytes = Buffer.from('stream: Slow.One FOUND\0');
          const write = (at: number) =>
            at < bytes.length && socket.write(bytes.subarray(at, at + 1), () => setImmediate(write, at + 1));
          socket.setNoDelay();
          write(0);
        },
      };
      expect(await scan(scannerOf(), WORDS)).toEqual({ outcome: 'infected', signature: 'Slow.One' });
    });
  });

  describe('a content that crashes the daemon each time', () => {
    /** Makes the daemon crash on the next content and stay down. */
    const crash = (): void => {
      const dead = (socket: Socket) => void socket.destroy();
      clamd.behaviour = {
        onEnd: (socket) => {
          clamd.behaviour = { onCommand: dead, onEnd: dead, onProbe: dead };
          socket.destroy();
        },
      };
    };
    const lose = async (scanner: ClamdScanner, bytes: Buffer) => {
      crash();
      await expect(scan(scanner, bytes)).rejects.toMatchObject(DOWN);
    };

    it('waits twice and is blamed the third time', async () => {
      const scanner = scannerOf();
      await lose(scanner, WORDS);
      await lose(scanner, Buffer.from('Others, in between'));
      await lose(scanner, WORDS);
      crash();
      expect(await scan(scanner, WORDS)).toMatchObject({ outcome: 'error' });
    });

    it('counts one crash for all its concurrent scans', async () => {
      const scanner = scannerOf();
      const scanAtOnce = async () => {
        const sockets: Socket[] = [];
        clamd.behaviour = { onEnd: (socket) => void sockets.push(socket) };
        const scans = Promise.allSettled(Array.from({ length: 4 }, () => scan(scanner, WORDS)));
        await until('all contents are complete', () => (sockets.length === 4 ? true : null));
        for (const socket of sockets) socket.destroy();
        return (await scans).map((ended) => (ended.status === 'fulfilled' ? ended.value.outcome : 'lost'));
      };
      expect(await scanAtOnce()).toEqual(Array(4).fill('lost'));
      expect(await scanAtOnce()).toEqual(Array(4).fill('lost'));
      expect(await scanAtOnce()).toEqual(Array(4).fill('error'));
      // Later scans also end in an error, so that no more retries follow.
      expect(await scanAtOnce()).toEqual(Array(4).fill('error'));
    });

    it('restarts its count after a successful scan', async () => {
      const scanner = scannerOf();
      await lose(scanner, WORDS);
      await lose(scanner, WORDS);
      clamd.behaviour = {};
      expect(await scan(scanner, WORDS)).toEqual({ outcome: 'clean' });
      await lose(scanner, WORDS);
    });
  });

  describe('before the end of a content', () => {
    const LONG = { sizeBytes: 20 * MIB, sha256: () => 'of the content' };

    it.each<[string, Required<Pick<Behaviour, 'onStart'>>['onStart']]>([
      ['OK', (socket) => socket.write('stream: OK\0')],
      ['OK and a closed connection', (socket) => socket.end('stream: OK\0')],
      ['a closed connection', (socket) => socket.end()],
      ['a reset', (socket) => socket.resetAndDestroy()],
      ['a paused socket', (socket) => void socket.pause()],
      ['a read timeout', (socket) => socket.end('COMMAND READ TIMED OUT\n')],
    ])('returns no verdict after %s', async (_, onStart) => {
      clamd.behaviour = { onStart };
      await expect(impatient().scan(randomMebibytes(20), LONG)).rejects.toMatchObject(DOWN);
    });

    it('does not blame the content', async () => {
      clamd.behaviour = { onStart: (socket) => socket.destroy() };
      const scanner = scannerOf();
      for (let turn = 0; turn < 4; turn++) {
        await expect(scanner.scan(randomMebibytes(20), LONG)).rejects.toMatchObject(DOWN);
      }
    });

    it('leaves the rest of the content and its error to the caller', async () => {
      clamd.behaviour = { onStart: (socket) => socket.write('INSTREAM size limit exceeded. ERROR\0') };
      const error = new Error('the content broke');
      let isLeft = false;
      const content = (async function* () {
        try {
          yield* randomMebibytes(20);
          throw error;
        } finally {
          isLeft = true;
        }
      })();
      expect(await scannerOf().scan(content, LONG)).toMatchObject({ outcome: 'unscannable' });
      expect(isLeft).toBe(false);
      const drain = async () => {
        for await (const chunk of content) expect(chunk.length).toBe(MIB);
      };
      await expect(drain()).rejects.toBe(error);
    });

    it('does not lose the error of a pending chunk', async () => {
      const error = new Error('the content broke');
      const content = (async function* () {
        yield await Promise.resolve(WORDS);
        await until('the connection is gone', () => (clamd.sockets.size === 0 ? true : null));
        throw error;
      })();
      clamd.behaviour = { onStart: (socket) => socket.destroy() };
      await expect(scannerOf().scan(content, LONG)).rejects.toBe(error);
    });
  });

  describe('the caller', () => {
    it('opens no connection for a content that is too large', async () => {
      const scanner = scannerOf({ maxBytes: WORDS.length - 1 });
      const asked = () => {
        throw new Error('asked');
      };
      expect(await scan(scanner, WORDS, { sha256: asked })).toEqual({
        outcome: 'unscannable',
        why: 'It exceeds the size limit of the scanner.',
      });
      expect([clamd.commands, clamd.sockets.size]).toEqual([0, 0]);
    });

    it('stops when a content exceeds the limit despite its declared size', async () => {
      const scanner = scannerOf({ maxBytes: WORDS.length });
      const content = contentOf(WORDS, Buffer.from('!'), Buffer.from('the rest'));
      expect(await scanner.scan(content, { sizeBytes: 1, sha256: () => '' })).toMatchObject({
        outcome: 'unscannable',
      });
      expect(await content.next()).toEqual({ done: false, value: Buffer.from('the rest') });
      await until('no connection', () => (clamd.sockets.size === 0 ? true : null));
      expect(clamd.contents).toEqual([]);
    });

    it('closes its connection when it is aborted', async () => {
      const abort = new AbortController();
      const reason = new Error('stopped');
      clamd.behaviour = { onEnd: () => abort.abort(reason) };
      const stopped = scan(scannerOf(), WORDS, { signal: abort.signal });
      await expect(stopped).rejects.toBe(reason);
      await until('no connection', () => (clamd.sockets.size === 0 ? true : null));
    });

    it('can abort its wait for a self test that others wait for', async () => {
      const abort = new AbortController();
      const reason = new Error('stopped');
      const scanner = scannerOf();
      const probed = new Promise<Socket>((resolve) => {
        clamd.behaviour = { onProbe: resolve };
      });
      const stopped = scan(scanner, WORDS, { signal: abort.signal });
      const other = scan(scanner, WORDS);
      const socket = await probed;
      abort.abort(reason);
      await expect(stopped).rejects.toBe(reason);
      clamd.behaviour = {};
      socket.end('stream: Eicar FOUND\0');
      expect(await other).toEqual({ outcome: 'clean' });
    });

    it('applies backpressure when the daemon does not read', async () => {
      let sent = 0;
      const content = (async function* () {
        for await (const chunk of randomMebibytes(80)) {
          sent += 1;
          yield chunk;
        }
      })();
      clamd.behaviour = { onStart: (socket) => void socket.pause() };
      const scanning = impatient().scan(content, { sizeBytes: 80 * MIB, sha256: () => '' });
      await expect(scanning).rejects.toMatchObject(DOWN);
      expect(sent).toBeLessThan(40);
    });
  });

  describe('the self test', () => {
    it('runs once for all waiting callers, and again when it is old or the daemon was lost', async () => {
      let probes = 0;
      const count: Behaviour = {
        onProbe: (socket) => {
          probes += 1;
          socket.end('stream: Eicar FOUND\0');
        },
      };
      clamd.behaviour = count;
      const scanner = scannerOf();
      await Promise.all([scan(scanner, WORDS), scanner.identify(), scanner.check(), scan(scanner, WORDS)]);
      await scan(scanner, WORDS);
      expect(probes).toBe(3);
      clamd.behaviour = { ...count, onStart: (socket) => socket.destroy() };
      const long = scanner.scan(randomMebibytes(20), { sizeBytes: 20 * MIB, sha256: () => '' });
      await expect(long).rejects.toMatchObject(DOWN);
      clamd.behaviour = count;
      await scan(scanner, WORDS);
      expect(probes).toBe(6);
      const forgetful = scannerOf({ identityMs: 0 });
      await scan(forgetful, WORDS);
      await scan(forgetful, WORDS);
      expect(probes).toBe(12);
    });

    it('runs again with new signatures, which change the label', async () => {
      const scanner = scannerOf({ identityMs: 0 });
      expect(await scanner.identify()).toEqual({
        label: clamd.version,
        signaturesAt: new Date('2026-11-20T08:20:00Z'),
      });
      clamd.version = 'ClamAV 1.4.6/27851/Sat Nov 21 08:20:00 2026';
      clamd.behaviour = { onProbe: (socket) => socket.end('stream: OK\0') };
      await expect(scanner.identify()).rejects.toMatchObject(DOWN);
      clamd.behaviour = {};
      expect((await scanner.identify()).label).toBe(clamd.version);
    });

    it('appends the configured suffix to the label, which causes new scans', async () => {
      const { label } = await scannerOf({ suffix: 'own.1' }).identify();
      expect(label).toBe(`${clamd.version} own.1`);
    });

    it('sends different probes each time', async () => {
      const sent: string[] = [];
      clamd.behaviour = {
        onProbe: (socket, content) => {
          sent.push(content.toString('base64'));
          socket.end('stream: Eicar FOUND\0');
        },
      };
      await scannerOf().check();
      await scannerOf().check();
      expect(sent).toHaveLength(6);
      // Only the EICAR test file, which is never reported clean, stays equal.
      expect(new Set(sent).size).toBe(5);
    });

    it.each<[string, Behaviour]>([
      ['VERSION gets no answer', { onCommand: () => undefined }],
      ['VERSION gets an invalid answer', { onCommand: (socket) => socket.end('220 smtp ready\0') }],
      ['a probe fails', { onProbe: (socket) => socket.end('stream: Broken ERROR\0') }],
      ['the connection is lost on a probe', { onProbe: (socket) => socket.destroy() }],
      ['a probe gets no answer', { onProbe: () => undefined }],
    ])('fails when %s', async (_, behaviour) => {
      clamd.behaviour = behaviour;
      const scanner = impatient();
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scanner.check()).rejects.toMatchObject(DOWN);
      await expect(scanner.identify()).rejects.toMatchObject(DOWN);
      expect(clamd.contents).toEqual([]);
    });
  });

  it('is unavailable when connections are refused', async () => {
    const { address } = clamd;
    await clamd[Symbol.asyncDispose]();
    clamd = await HostileClamd.start();
    const scanner = scannerOf({ address });
    await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
    await expect(scanner.check()).rejects.toMatchObject(DOWN);
    const noSocket = scannerOf({ address: 'unix:/nowhere/clamd.sock' });
    await expect(noSocket.check()).rejects.toMatchObject({
      ...DOWN,
      message: 'The virus scanner is not available. Try again later.',
    });
  });
});
