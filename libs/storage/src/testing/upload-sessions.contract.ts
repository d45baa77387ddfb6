import { randomBytes, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ObjectRef } from '#libs/domain';
import type { ObjectStore } from '../object-store.js';
import type { SessionRequest, UploadSessions } from '../upload-sessions.js';
import type { MetadataOf, Put } from './seed.js';

/** Environment of the contract suite. */
export interface UploadSessionsSetup {
  readonly sessions: UploadSessions;
  /** A store with access to the same bucket. */
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly put: Put;
  readonly metadataOf: MetadataOf;
  close?(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
/** Chunk sizes must be multiples of this, in bytes. */
const QUANTUM = 256 * 1024;
const PAGE = 'https://app.example';

/**
 * Contract suite for every {@link UploadSessions} and for its sessions over HTTP. Call it at the top level of a spec
 * file.
 */
export function uploadSessionsContract(name: string, setup: () => Promise<UploadSessionsSetup>): void {
  describe(`the upload sessions contract: ${name}`, () => {
    let given: UploadSessionsSetup;
    beforeAll(async () => {
      given = await setup();
    });
    afterAll(() => given.close?.());

    const requestFor = (bytes: Buffer, more: Partial<SessionRequest> = {}): SessionRequest => ({
      bucket: given.bucket,
      key: randomUUID(),
      contentType: 'image/svg+xml',
      sizeBytes: bytes.length,
      now: new Date(),
      ...more,
    });
    const opened = async (request: SessionRequest) => {
      const session = await given.sessions.open(request);
      if (session === null) throw new Error('the object already exists');
      return session;
    };
    const send = (url: string, body: Buffer, headers: Record<string, string> = {}, method = 'PUT') =>
      fetch(url, {
        method,
        headers,
        body: method === 'OPTIONS' ? undefined : new Uint8Array(body),
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    /** Sends one chunk that starts at offset `from` of `total` bytes. */
    const sendPart = (url: string, body: Buffer, from: number, total: number) =>
      send(url, body, { 'content-range': `bytes ${from}-${from + body.length - 1}/${total}` });
    const stored = async ({ bucket, key }: ObjectRef) => {
      const object = await given.store.stat({ bucket, key });
      return object && { type: object.contentType, bytes: await buffer(given.store.read(object)) };
    };

    describe('an open session', () => {
      it('receives chunks without credentials and creates the object', async () => {
        const bytes = randomBytes(QUANTUM + 100);
        const request = requestFor(bytes);
        const { url, expiresAt } = await opened(request);
        expect(Math.abs(Number(expiresAt) - Date.now() - 7 * 24 * 3_600_000)).toBeLessThan(10 * 60_000);
        expect((await sendPart(url, bytes.subarray(0, QUANTUM), 0, bytes.length)).status).toBe(308);
        expect(await given.sessions.stateOf(url)).toBe('open');
        expect(await stored(request)).toBeNull();

        const progress = await send(url, Buffer.alloc(0), { 'content-range': `bytes */${bytes.length}` });
        expect([progress.status, progress.headers.get('range')]).toEqual([308, `bytes=0-${QUANTUM - 1}`]);
        expect((await sendPart(url, bytes.subarray(QUANTUM), QUANTUM, bytes.length)).ok).toBe(true);
        expect(await stored(request)).toEqual({ type: 'image/svg+xml', bytes });
        expect(await given.sessions.stateOf(url)).toBe('finished');
        expect(await given.metadataOf(request)).toEqual({ contentType: 'image/svg+xml' });
      });

      it.each([
        ['a body', Buffer.from('eighteen bytes, ok')],
        ['an empty body', Buffer.alloc(0)],
      ])('receives %s in one request', async (_, bytes) => {
        const request = requestFor(bytes);
        const { url } = await opened(request);
        expect((await send(url, bytes)).ok).toBe(true);
        expect(await stored(request)).toMatchObject({ bytes });
      });

      it.each<[string, number, (bytes: Buffer, url: string) => Promise<Response>]>([
        [
          'one byte too many in one request',
          18,
          (bytes, url) => send(url, Buffer.concat([bytes, bytes.subarray(0, 1)])),
        ],
        ['a larger total', 18, (bytes, url) => sendPart(url, Buffer.concat([bytes, bytes]), 0, 36)],
        ['a smaller total', 18, (bytes, url) => sendPart(url, bytes.subarray(0, 9), 0, 9)],
        [
          'a chunk past the end',
          QUANTUM,
          (bytes, url) => sendPart(url, Buffer.concat([bytes, bytes]), 0, 2 * QUANTUM),
        ],
      ])('creates no object from %s', async (_, size, attempt) => {
        const bytes = randomBytes(size);
        const request = requestFor(bytes);
        const { url } = await opened(request);
        expect((await attempt(bytes, url)).ok).toBe(false);
        expect(await stored(request)).toBeNull();
      });

      it('keeps the content type of the session despite client headers', async () => {
        const bytes = Buffer.from('a page, says the client');
        const request = requestFor(bytes);
        const { url } = await opened(request);
        await send(url, bytes, {
          'content-type': 'text/html',
          'content-encoding': 'gzip',
          'cache-control': 'public',
          'x-goog-meta-mine': 'yes',
        });
        const metadata = await given.metadataOf(request);
        expect(metadata).toEqual({ contentType: 'image/svg+xml' });
      });

      it('allows CORS for the origin that it was opened for only', async () => {
        const bytes = Buffer.from('from a page');
        const { url } = await opened(requestFor(bytes, { origin: PAGE }));
        const preflightHeaders = {
          origin: PAGE,
          'access-control-request-method': 'PUT',
          'access-control-request-headers': 'content-range',
        };
        const preflight = await send(url, bytes, preflightHeaders, 'OPTIONS');
        expect(preflight.headers.get('access-control-allow-origin')).toBe(PAGE);
        const foreign = await send(
          url,
          bytes,
          { ...preflightHeaders, origin: 'https://elsewhere.example' },
          'OPTIONS',
        );
        expect(['*', 'https://elsewhere.example']).not.toContain(
          foreign.headers.get('access-control-allow-origin'),
        );
        const answer = await send(url, bytes, { origin: PAGE });
        expect([answer.ok, answer.headers.get('access-control-allow-origin')]).toEqual([true, PAGE]);
      });
    });

    it('opens no session for an existing object', async () => {
      const bytes = Buffer.from('first');
      const request = requestFor(bytes);
      await given.put(request, bytes, { contentType: 'text/plain' });
      expect(await given.sessions.open(request)).toBeNull();
    });

    it('lets only the first of two sessions for one object finish', async () => {
      const bytes = [Buffer.from('one body'), Buffer.from('another!')];
      const request = requestFor(bytes[0]!);
      const sessions = [await opened(request), await opened(request)];
      expect((await send(sessions[0]!.url, bytes[0]!)).ok).toBe(true);
      expect((await send(sessions[1]!.url, bytes[1]!)).ok).toBe(false);
      expect(await stored(request)).toMatchObject({ bytes: bytes[0] });
    });

    describe('an ended session', () => {
      it('accepts no more bytes and creates no object from those received', async () => {
        const bytes = randomBytes(2 * QUANTUM);
        const request = requestFor(bytes);
        const { url } = await opened(request);
        await sendPart(url, bytes.subarray(0, QUANTUM), 0, bytes.length);
        await given.sessions.end(url);
        expect(await given.sessions.stateOf(url)).toBe('gone');
        expect((await sendPart(url, bytes.subarray(QUANTUM), QUANTUM, bytes.length)).ok).toBe(false);
        expect((await sendPart(url, bytes, 0, bytes.length)).ok).toBe(false);
        expect(await stored(request)).toBeNull();
      });

      it('can be ended again', async () => {
        const { url } = await opened(requestFor(Buffer.from('bytes')));
        await given.sessions.end(url);
        await expect(given.sessions.end(url)).resolves.toBeUndefined();
      });

      it('keeps its object if it had finished before', async () => {
        const bytes = Buffer.from('all of it');
        const request = requestFor(bytes);
        const { url } = await opened(request);
        await send(url, bytes);
        await given.sessions.end(url);
        expect(await stored(request)).toMatchObject({ bytes });
      });
    });

    it('reports an unknown session as gone', async () => {
      const { url } = await opened(requestFor(Buffer.from('bytes')));
      const other = new URL(url);
      other.searchParams.set('upload_id', 'an-unknown-session');
      expect(await given.sessions.stateOf(other.href)).toBe('gone');
      await expect(given.sessions.end(other.href)).resolves.toBeUndefined();
    });
  });
}
