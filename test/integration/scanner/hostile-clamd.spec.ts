import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ClamdScanner, type ClamdScannerOptions } from '#libs/scanner';
import { until } from '../../support/until.js';
import { contentOf, DOWN, randomMebibytes, scan } from './contents.js';
import { type Deeds, HostileClamd } from './hostile-clamd.js';

const WORDS = Buffer.from('Harmless words');
const MIB = 2 ** 20;

describe('ClamdScanner and a clamd that is none (real: TCP)', () => {
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
  /** Long enough for whoever does answer, on a busy machine too. */
  const impatient = () => scannerOf({ commandMs: 1000, idleMs: 1000, replyMs: 1000 });

  describe('after a whole content', () => {
    it.each<[string, Required<Pick<Deeds, 'onEnd'>>['onEnd']]>([
      ['an answer of another protocol', (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n\0')],
      ['an answer that knows no such command', (socket) => socket.end('UNKNOWN COMMAND\0')],
      ['an empty answer', (socket) => socket.end('\0')],
      ['that its disk is full', (socket) => socket.end('Error writing to temporary file. ERROR\0')],
      ['that it waited too long', (socket) => socket.end('COMMAND READ TIMED OUT\n')],
    ])('%s is no verdict', async (_, onEnd) => {
      clamd.deeds = { onEnd };
      await expect(scan(scannerOf(), WORDS)).rejects.toMatchObject(DOWN);
    });

    it.each<[string, Required<Pick<Deeds, 'onEnd'>>['onEnd']]>([
      ['nothing', (socket) => socket.end()],
      ['a reset', (socket) => socket.resetAndDestroy()],
      ['OK without its NUL', (socket) => socket.end('stream: OK')],
      ['half of OK', (socket) => socket.end('stream: O')],
      ['OK and a line end', (socket) => socket.end('stream: OK\n')],
      ['a name without end', (socket) => socket.write(`stream: ${'x'.repeat(MIB)}`)],
      ['an enormous name', (socket) => socket.end(`stream: ${'x'.repeat(MIB)} FOUND\0`)],
      ['no answer at all', () => undefined],
    ])('%s, from a daemon that is well at once, is the content’s fault the third time', async (_, onEnd) => {
      clamd.deeds = { onEnd };
      const scanner = scannerOf({ replyMs: 5_000 });
      for (let turn = 1; turn < 3; turn++) await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      expect(await scan(scanner, WORDS)).toEqual({
        outcome: 'error',
        message: expect.stringMatching(/^The scanner failed repeatedly on this file: /) as unknown,
      });
    });

    it('nothing, from a daemon that answers but cannot scan, is not the content’s fault', async () => {
      const scanner = scannerOf();
      await scanner.check();
      clamd.deeds = { onEnd: (socket) => socket.end(), onProbe: (socket) => socket.end() };
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      expect(clamd.contents).toEqual([WORDS]);
    });

    it('takes an answer that comes byte by byte', async () => {
      clamd.deeds = {
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

  describe('a content over which the daemon is lost each time', () => {
    /** Ends, and is not well again before `heal`. */
    const crash = (): void => {
      const dead = (socket: Socket) => void socket.destroy();
      clamd.deeds = {
        onEnd: (socket) => {
          clamd.deeds = { onCommand: dead, onEnd: dead, onProbe: dead };
          socket.destroy();
        },
      };
    };
    const lose = async (scanner: ClamdScanner, bytes: Buffer) => {
      crash();
      await expect(scan(scanner, bytes)).rejects.toMatchObject(DOWN);
    };

    it('waits two times, and is at fault the third time', async () => {
      const scanner = scannerOf();
      await lose(scanner, WORDS);
      await lose(scanner, Buffer.from('Others, in between'));
      await lose(scanner, WORDS);
      crash();
      expect(await scan(scanner, WORDS)).toMatchObject({ outcome: 'error' });
    });

    it('is lost once with all that is under way with it', async () => {
      const scanner = scannerOf();
      const scanAtOnce = async () => {
        const sockets: Socket[] = [];
        clamd.deeds = { onEnd: (socket) => void sockets.push(socket) };
        const scans = Promise.allSettled(Array.from({ length: 4 }, () => scan(scanner, WORDS)));
        await until('all of it is there', () => (sockets.length === 4 ? true : null));
        for (const socket of sockets) socket.destroy();
        return (await scans).map((ended) => (ended.status === 'fulfilled' ? ended.value.outcome : 'lost'));
      };
      expect(await scanAtOnce()).toEqual(Array(4).fill('lost'));
      expect(await scanAtOnce()).toEqual(Array(4).fill('lost'));
      expect(await scanAtOnce()).toEqual(Array(4).fill('error'));
      // And from then on, so that it ends.
      expect(await scanAtOnce()).toEqual(Array(4).fill('error'));
    });

    it('starts anew once it was scanned', async () => {
      const scanner = scannerOf();
      await lose(scanner, WORDS);
      await lose(scanner, WORDS);
      clamd.deeds = {};
      expect(await scan(scanner, WORDS)).toEqual({ outcome: 'clean' });
      await lose(scanner, WORDS);
    });
  });

  describe('before the end of a content', () => {
    const LONG = { sizeBytes: 20 * MIB, sha256: () => 'of the content' };

    it.each<[string, Required<Pick<Deeds, 'onStart'>>['onStart']]>([
      ['OK', (socket) => socket.write('stream: OK\0')],
      ['OK and the end', (socket) => socket.end('stream: OK\0')],
      ['the end', (socket) => socket.end()],
      ['a reset', (socket) => socket.resetAndDestroy()],
      ['no reading on', (socket) => void socket.pause()],
      ['that it waited too long', (socket) => socket.end('COMMAND READ TIMED OUT\n')],
    ])('%s is no verdict', async (_, onStart) => {
      clamd.deeds = { onStart };
      await expect(impatient().scan(randomMebibytes(20), LONG)).rejects.toMatchObject(DOWN);
    });

    it('is not counted against the content', async () => {
      clamd.deeds = { onStart: (socket) => socket.destroy() };
      const scanner = scannerOf();
      for (let turn = 0; turn < 4; turn++) {
        await expect(scanner.scan(randomMebibytes(20), LONG)).rejects.toMatchObject(DOWN);
      }
    });

    it('leaves the rest to its caller, error and all', async () => {
      clamd.deeds = { onStart: (socket) => socket.write('INSTREAM size limit exceeded. ERROR\0') };
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

    it('does not lose the error of a chunk that is on its way', async () => {
      const error = new Error('the content broke');
      const content = (async function* () {
        yield await Promise.resolve(WORDS);
        await until('the connection is gone', () => (clamd.sockets.size === 0 ? true : null));
        throw error;
      })();
      clamd.deeds = { onStart: (socket) => socket.destroy() };
      await expect(scannerOf().scan(content, LONG)).rejects.toBe(error);
    });
  });

  describe('its caller', () => {
    it('sends nothing that is too large, and does not even connect', async () => {
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

    it('stops where a content is larger than was said', async () => {
      const scanner = scannerOf({ maxBytes: WORDS.length });
      const content = contentOf(WORDS, Buffer.from('!'), Buffer.from('the rest'));
      expect(await scanner.scan(content, { sizeBytes: 1, sha256: () => '' })).toMatchObject({
        outcome: 'unscannable',
      });
      expect(await content.next()).toEqual({ done: false, value: Buffer.from('the rest') });
      await until('no connection', () => (clamd.sockets.size === 0 ? true : null));
      expect(clamd.contents).toEqual([]);
    });

    it('leaves no connection behind when it is stopped', async () => {
      const abort = new AbortController();
      const reason = new Error('stopped');
      clamd.deeds = { onEnd: () => abort.abort(reason) };
      const stopped = scan(scannerOf(), WORDS, { signal: abort.signal });
      await expect(stopped).rejects.toBe(reason);
      await until('no connection', () => (clamd.sockets.size === 0 ? true : null));
    });

    it('may stop waiting for a self test that others wait for', async () => {
      const abort = new AbortController();
      const reason = new Error('stopped');
      const scanner = scannerOf();
      const probed = new Promise<Socket>((resolve) => {
        clamd.deeds = { onProbe: resolve };
      });
      const stopped = scan(scanner, WORDS, { signal: abort.signal });
      const other = scan(scanner, WORDS);
      const socket = await probed;
      abort.abort(reason);
      await expect(stopped).rejects.toBe(reason);
      clamd.deeds = {};
      socket.end('stream: Eicar FOUND\0');
      expect(await other).toEqual({ outcome: 'clean' });
    });

    it('holds back what the daemon does not take', async () => {
      let sent = 0;
      const content = (async function* () {
        for await (const chunk of randomMebibytes(80)) {
          sent += 1;
          yield chunk;
        }
      })();
      clamd.deeds = { onStart: (socket) => void socket.pause() };
      const scanning = impatient().scan(content, { sizeBytes: 80 * MIB, sha256: () => '' });
      await expect(scanning).rejects.toMatchObject(DOWN);
      expect(sent).toBeLessThan(40);
    });
  });

  describe('the self test', () => {
    it('is made once for all who wait, again when it is old, and when the daemon was lost', async () => {
      let probes = 0;
      const count: Deeds = {
        onProbe: (socket) => {
          probes += 1;
          socket.end('stream: Eicar FOUND\0');
        },
      };
      clamd.deeds = count;
      const scanner = scannerOf();
      await Promise.all([scan(scanner, WORDS), scanner.identify(), scanner.check(), scan(scanner, WORDS)]);
      await scan(scanner, WORDS);
      expect(probes).toBe(3);
      clamd.deeds = { ...count, onStart: (socket) => socket.destroy() };
      const long = scanner.scan(randomMebibytes(20), { sizeBytes: 20 * MIB, sha256: () => '' });
      await expect(long).rejects.toMatchObject(DOWN);
      clamd.deeds = count;
      await scan(scanner, WORDS);
      expect(probes).toBe(6);
      const forgetful = scannerOf({ identityMs: 0 });
      await scan(forgetful, WORDS);
      await scan(forgetful, WORDS);
      expect(probes).toBe(12);
    });

    it('comes again with other signatures, and so does the label', async () => {
      const scanner = scannerOf({ identityMs: 0 });
      expect(await scanner.identify()).toEqual({
        label: clamd.version,
        signaturesAt: new Date('2026-11-20T08:20:00Z'),
      });
      clamd.version = 'ClamAV 1.4.6/27851/Sat Nov 21 08:20:00 2026';
      clamd.deeds = { onProbe: (socket) => socket.end('stream: OK\0') };
      await expect(scanner.identify()).rejects.toMatchObject(DOWN);
      clamd.deeds = {};
      expect((await scanner.identify()).label).toBe(clamd.version);
    });

    it('has a label that somebody else may change, so that everything is scanned again', async () => {
      const { label } = await scannerOf({ suffix: 'own.1' }).identify();
      expect(label).toBe(`${clamd.version} own.1`);
    });

    it('is never the same: what it sends is new each time', async () => {
      const sent: string[] = [];
      clamd.deeds = {
        onProbe: (socket, content) => {
          sent.push(content.toString('base64'));
          socket.end('stream: Eicar FOUND\0');
        },
      };
      await scannerOf().check();
      await scannerOf().check();
      expect(sent).toHaveLength(6);
      // The EICAR test file alone, which is never called clean, is what it is.
      expect(new Set(sent).size).toBe(5);
    });

    it.each<[string, Deeds]>([
      ['VERSION gets no answer', { onCommand: () => undefined }],
      ['VERSION gets another answer', { onCommand: (socket) => socket.end('220 smtp ready\0') }],
      ['it fails on what it is sent', { onProbe: (socket) => socket.end('stream: Broken ERROR\0') }],
      ['it is lost over what it is sent', { onProbe: (socket) => socket.destroy() }],
      ['it says nothing to what it is sent', { onProbe: () => undefined }],
    ])('is failed when %s', async (_, deeds) => {
      clamd.deeds = deeds;
      const scanner = impatient();
      await expect(scan(scanner, WORDS)).rejects.toMatchObject(DOWN);
      await expect(scanner.check()).rejects.toMatchObject(DOWN);
      await expect(scanner.identify()).rejects.toMatchObject(DOWN);
      expect(clamd.contents).toEqual([]);
    });
  });

  it('is down where nobody takes a connection', async () => {
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
