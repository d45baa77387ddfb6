import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ObjectRef } from '#libs/domain';
import { contentDisposition } from '../content-disposition.js';
import type { ObjectStore } from '../object-store.js';
import type { SignedRequest, UploadGrant, UrlSigner } from '../url-signer.js';
import { crc32cOf, freshKey } from './seed.js';
import type { Put } from './seed.js';

/** Environment of the contract suite. */
export interface UrlSignerSetup {
  readonly signer: UrlSigner;
  /** A store with access to the same bucket. */
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly put: Put;
  close?(): Promise<void>;
}

const TIMEOUT_MS = 10_000;
const BYTES = Buffer.from('eighteen bytes, ok');

/**
 * Contract suite for every {@link UrlSigner}: sends its signed requests over HTTP. Call it at the top level of a spec
 * file.
 */
export function urlSignerContract(name: string, setup: () => Promise<UrlSignerSetup>): void {
  describe(`the URL signer contract: ${name}`, () => {
    let given: UrlSignerSetup;
    beforeAll(async () => {
      given = await setup();
    });
    afterAll(() => given.close?.());

    const validity = (changes: { now?: Date; expiresInSeconds?: number } = {}) => ({
      now: new Date(),
      expiresInSeconds: 300,
      ...changes,
    });
    const headersOf = ({ headers }: SignedRequest) =>
      Object.fromEntries(headers.map((h) => [h.name, h.value]));
    const send = ({ url, httpMethod }: SignedRequest, headers: Record<string, string>, body?: Buffer) =>
      fetch(url, {
        method: httpMethod,
        headers,
        body: body === undefined ? undefined : new Uint8Array(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });

    const sendAs = (method: string, url: string) =>
      fetch(url, { method, signal: AbortSignal.timeout(TIMEOUT_MS) });

    const grantOf = (bytes: Buffer): UploadGrant => ({
      bucket: given.bucket,
      key: randomUUID(),
      contentType: 'image/svg+xml',
      sizeBytes: bytes.length,
    });
    const stored = async ({ bucket, key }: ObjectRef) => {
      const object = await given.store.stat({ bucket, key });
      return (
        object && { type: object.contentType, bytes: (await buffer(given.store.read(object))).toString() }
      );
    };

    describe('an upload', () => {
      it.each([
        ['a body', BYTES],
        ['an empty body', Buffer.alloc(0)],
      ])('stores %s as granted with exactly the listed headers', async (_, bytes) => {
        const grant = { ...grantOf(bytes), crc32c: crc32cOf(bytes) };
        const request = await given.signer.signUpload(grant, validity());
        const response = await send(request, headersOf(request), bytes);
        expect(response.ok).toBe(true);
        expect(await stored(grant)).toEqual({ type: 'image/svg+xml', bytes: bytes.toString() });
      });

      it('succeeds once and keeps the first bytes', async () => {
        const grant = grantOf(BYTES);
        const request = await given.signer.signUpload(grant, validity());
        const bodies = [BYTES, Buffer.from('EIGHTEEN BYTES, OK')];
        expect((await send(request, headersOf(request), bodies[0])).ok).toBe(true);
        expect((await send(request, headersOf(request), bodies[1])).ok).toBe(false);
        expect(await stored(grant)).toMatchObject({ bytes: BYTES.toString() });
      });

      it('succeeds once among concurrent requests', async () => {
        const request = await given.signer.signUpload(grantOf(BYTES), validity());
        const responses = await Promise.all(
          Array.from({ length: 5 }, () => send(request, headersOf(request), BYTES)),
        );
        expect(responses.filter(({ ok }) => ok)).toHaveLength(1);
      });

      type Sent = { url: string; headers: Record<string, string>; body: Buffer };
      const abuses: [string, (sent: Sent) => Sent][] = [
        ['one byte too many', (sent) => ({ ...sent, body: Buffer.concat([sent.body, Buffer.from('!')]) })],
        ['one byte too few', (sent) => ({ ...sent, body: sent.body.subarray(1) })],
        ['an empty body', (sent) => ({ ...sent, body: Buffer.alloc(0) })],
        [
          'another content type',
          (sent) => ({ ...sent, headers: { ...sent.headers, 'content-type': 'text/html' } }),
        ],
        ['another key', (sent) => ({ ...sent, url: sent.url.replace('?', '0?') })],
        [
          'a changed signature',
          (sent) => ({ ...sent, url: sent.url.replace(/.$/, (c) => (c === '0' ? '1' : '0')) }),
        ],
      ];
      it.each(abuses)('rejects %s', async (_, abuse) => {
        const grant = grantOf(BYTES);
        const request = await given.signer.signUpload(grant, validity());
        const { url, headers, body } = abuse({ url: request.url, headers: headersOf(request), body: BYTES });
        expect((await send({ ...request, url }, headers, body)).ok).toBe(false);
        expect(await stored(grant)).toBeNull();
      });

      it('rejects a request without any one of the headers', async () => {
        const grant = { ...grantOf(BYTES), crc32c: crc32cOf(BYTES) };
        const request = await given.signer.signUpload(grant, validity());
        for (const { name: missing } of request.headers) {
          const headers = headersOf(request);
          delete headers[missing];
          expect({ missing, ok: (await send(request, headers, BYTES)).ok }).toEqual({ missing, ok: false });
        }
        expect(await stored(grant)).toBeNull();
      });

      it('rejects bytes with another checksum', async () => {
        const grant = { ...grantOf(BYTES), crc32c: crc32cOf(Buffer.from('other bytes')) };
        const request = await given.signer.signUpload(grant, validity());
        expect((await send(request, headersOf(request), BYTES)).ok).toBe(false);
        expect(await stored(grant)).toBeNull();
      });

      it('rejects an expired URL', async () => {
        const grant = grantOf(BYTES);
        const now = new Date(Date.now() - 120_000);
        const request = await given.signer.signUpload(grant, validity({ now, expiresInSeconds: 60 }));
        expect((await send(request, headersOf(request), BYTES)).ok).toBe(false);
        expect(await stored(grant)).toBeNull();
      });
    });

    describe('a download', () => {
      const grant = async () => ({
        ...(await given.put({ bucket: given.bucket, key: freshKey() }, BYTES, { contentType: 'text/html' })),
        contentType: 'application/octet-stream',
        contentDisposition: contentDisposition('attachment', 'ä + b.svg'),
      });

      it('returns the bytes with the granted type and file name', async () => {
        const granted = await grant();
        const request = await given.signer.signDownload(granted, validity());
        const response = await send(request, headersOf(request));
        expect(await response.text()).toBe(BYTES.toString());
        expect(response.status).toBe(200);
        expect(response.headers.get('content-type')).toBe(granted.contentType);
        expect(response.headers.get('content-disposition')).toBe(granted.contentDisposition);
      });

      it('answers HEAD with the headers and no body', async () => {
        const granted = await grant();
        const request = await given.signer.signDownload(granted, validity());
        const response = await sendAs('HEAD', request.url);
        expect([response.status, await response.text()]).toEqual([200, '']);
        expect(response.headers.get('content-length')).toBe(String(BYTES.length));
        expect(response.headers.get('content-type')).toBe(granted.contentType);
        expect(response.headers.get('content-disposition')).toBe(granted.contentDisposition);
      });

      it('stays valid after a client parses and rebuilds the URL', async () => {
        const { url } = await given.signer.signDownload(await grant(), validity());
        const rebuilt = new URL(url);
        rebuilt.search = String(new URLSearchParams(rebuilt.search));
        expect(rebuilt.search).not.toBe(new URL(url).search);
        expect(rebuilt.search).not.toContain('+');
        expect((await sendAs('GET', rebuilt.href)).status).toBe(200);
        expect((await sendAs('HEAD', rebuilt.href)).status).toBe(200);
      });

      it.each(['PUT', 'POST', 'DELETE'])('rejects %s', async (method) => {
        const granted = await grant();
        const { url } = await given.signer.signDownload(granted, validity());
        expect((await sendAs(method, url)).ok).toBe(false);
        expect(await stored(granted)).toMatchObject({ bytes: BYTES.toString() });
      });

      it.each([
        ['another content type', (url: string) => url.replace('octet-stream', 'xhtml%2Bxml')],
        ['another disposition', (url: string) => url.replace('attachment', 'inline')],
        ['another object', (url: string) => url.replace('?', '0?')],
        ['a changed signature', (url: string) => url.replace(/.$/, (c) => (c === '0' ? '1' : '0'))],
      ])('rejects %s', async (_, tamper) => {
        const request = await given.signer.signDownload(await grant(), validity());
        const url = tamper(request.url);
        expect(url).not.toBe(request.url);
        expect((await send({ ...request, url }, headersOf(request))).ok).toBe(false);
        expect((await sendAs('HEAD', url)).ok).toBe(false);
      });

      it('rejects an expired URL', async () => {
        const now = new Date(Date.now() - 120_000);
        const request = await given.signer.signDownload(
          await grant(),
          validity({ now, expiresInSeconds: 60 }),
        );
        expect((await send(request, headersOf(request))).ok).toBe(false);
      });
    });
  });
}
