import { randomBytes, randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ObjectRef } from '#libs/domain';
import type { ObjectStore } from '../object-store.js';
import type { SessionRequest, UploadSessions } from '../upload-sessions.js';
import type { MetadataOf, Put } from './seed.js';

export interface UploadSessionsSetup {
  readonly sessions: UploadSessions;
  /** A store that sees the same bucket. */
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly put: Put;
  readonly metadataOf: MetadataOf;
  close?(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
/** Storage takes chunks in multiples of this. */
const QUANTUM = 256 * 1024;
const PAGE = 'https://app.example';

/** What every {@link UploadSessions} does, and what clients can do with its sessions. Call it at the top level. */
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
      if (session === null) throw new Error('the object is there');
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
    /** A chunk from an offset on, of `total` bytes. */
    const sendPart = (url: string, body: Buffer, from: number, total: number) =>
      send(url, body, { 'content-range': `bytes ${from}-${from + body.length - 1}/${total}` });
    const stored = async ({ bucket, key }: ObjectRef) => {
      const object = await given.store.stat({ bucket, key });
      return object && { type: object.contentType, bytes: await buffer(given.store.read(object)) };
    };

    describe('an open session', () => {
      it('takes the bytes in chunks and makes them the object, without credentials', async () => {
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
        ['some bytes', Buffer.from('eighteen bytes, ok')],
        ['no bytes at all', Buffer.alloc(0)],
      ])('takes %s in one request', async (_, bytes) => {
        const request = requestFor(bytes);
        const { url } = await opened(request);
        expect((await send(url, bytes)).ok).toBe(true);
        expect(await stored(request)).toMatchObject({ bytes });
      });

      it.each<[string, number, (bytes: Buffer, url: string) => Promise<Response>]>([
        [
          'one byte more in one request',
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
      ])('makes no object of %s', async (_, size, attempt) => {
        const bytes = randomBytes(size);
        const request = requestFor(bytes);
        const { url } = await opened(request);
        expect((await attempt(bytes, url)).ok).toBe(false);
        expect(await stored(request)).toBeNull();
      });

      it('keeps the type that the service chose, whatever the client sends', async () => {
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

      it('answers the page that it was opened for, and no other', async () => {
        const bytes = Buffer.from('from a page');
        const { url } = await opened(requestFor(bytes, { origin: PAGE }));
        const asked = {
          origin: PAGE,
          'access-control-request-method': 'PUT',
          'access-control-request-headers': 'content-range',
        };
        const preflight = await send(url, bytes, asked, 'OPTIONS');
        expect(preflight.headers.get('access-control-allow-origin')).toBe(PAGE);
        const foreign = await send(url, bytes, { ...asked, origin: 'https://elsewhere.example' }, 'OPTIONS');
        expect(['*', 'https://elsewhere.example']).not.toContain(
          foreign.headers.get('access-control-allow-origin'),
        );
        const answer = await send(url, bytes, { origin: PAGE });
        expect([answer.ok, answer.headers.get('access-control-allow-origin')]).toEqual([true, PAGE]);
      });
    });

    it('is not opened where an object is', async () => {
      const bytes = Buffer.from('first');
      const request = requestFor(bytes);
      await given.put(request, bytes, { contentType: 'text/plain' });
      expect(await given.sessions.open(request)).toBeNull();
    });

    it('of two sessions for one object only the first finishes', async () => {
      const bytes = [Buffer.from('one body'), Buffer.from('another!')];
      const request = requestFor(bytes[0]!);
      const sessions = [await opened(request), await opened(request)];
      expect((await send(sessions[0]!.url, bytes[0]!)).ok).toBe(true);
      expect((await send(sessions[1]!.url, bytes[1]!)).ok).toBe(false);
      expect(await stored(request)).toMatchObject({ bytes: bytes[0] });
    });

    describe('a session that was ended', () => {
      it('takes no more bytes, and makes no object of those that it had', async () => {
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

      it('had finished before: its object stays', async () => {
        const bytes = Buffer.from('all of it');
        const request = requestFor(bytes);
        const { url } = await opened(request);
        await send(url, bytes);
        await given.sessions.end(url);
        expect(await stored(request)).toMatchObject({ bytes });
      });
    });

    it('knows no session that never was', async () => {
      const { url } = await opened(requestFor(Buffer.from('bytes')));
      const other = new URL(url);
      other.searchParams.set('upload_id', 'a-session-that-never-was');
      expect(await given.sessions.stateOf(other.href)).toBe('gone');
      await expect(given.sessions.end(other.href)).resolves.toBeUndefined();
    });
  });
}
