import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Fleet } from '../support/fleet.js';
import { BOMBS, CLAIMS, DISGUISES, endOf, type HostileFile } from './hostile-cases.js';
import {
  inParallel,
  inputFor,
  type Outcome,
  outcomeOf,
  requestUpload,
  sha256,
  upload,
} from './hostile-uploads.js';
import { put } from './stack.js';
import { LIMIT_MS } from '../../libs/testing/src/until.js';

/* Hostile bytes and declarations. docs/security.md lists the tests of other hostile input. */

const AT_A_TIME = 8;
const FILES = [...DISGUISES, ...CLAIMS, ...BOMBS];

describe('hostile uploads (real: an api and a worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  const outcomes = new Map<string, Outcome>();

  beforeAll(async () => {
    fleet = await Fleet.start({ env: { RATE_LIMIT_PER_MINUTE: '0' } });
    await inParallel(FILES, AT_A_TIME, async ({ name, type, make }) => {
      const bytes = await make();
      outcomes.set(name, await upload(fleet, inputFor(bytes, type), bytes));
    });
  });
  afterAll(() => fleet[Symbol.asyncDispose]());

  it.each<[string, string, HostileFile]>(FILES.map((file) => [file.name, file.end, file]))(
    'handles %s: %s',
    (name, end) => {
      expect(endOf(outcomes.get(name)!)).toBe(end);
    },
  );

  it('tells the client to remove the password of a document', () => {
    const { message } = outcomes.get('a sheet with a password')!.statusReason!;
    expect(message).toBe(
      'The file could not be scanned for malware: it is encrypted; remove its password and upload it again.',
    );
  });

  it('serves no content that a browser would run', async () => {
    const ready = [...outcomes.values()].filter(({ inline }) => inline !== null);
    expect(ready.length).toBeGreaterThan(20);
    for (const { mimeType, inline } of ready) {
      const response = await fetch(inline!.url, { signal: AbortSignal.timeout(LIMIT_MS) });
      await response.arrayBuffer();
      const disposition = response.headers.get('content-disposition') ?? '';
      expect([mimeType, response.status, response.headers.get('content-type')]).toEqual([
        mimeType,
        200,
        mimeType,
      ]);
      const isShown = /^(image\/(?!svg)|audio\/|video\/|text\/plain|application\/pdf)/.test(mimeType);
      expect([mimeType, disposition.split(';')[0]]).toEqual([mimeType, isShown ? 'inline' : 'attachment']);
    }
  });

  describe('upload declarations', () => {
    it.each<[string, object, string]>([
      ['a negative size', { sizeBytes: -1 }, 'NUMBER_INVALID'],
      ['a fraction of a byte', { sizeBytes: 0.5 }, 'NUMBER_INVALID'],
      ['2^53 + 1 bytes', { sizeBytes: '9007199254740993' }, 'NUMBER_INVALID'],
      ['2^63 bytes', { sizeBytes: '9223372036854775808' }, 'NUMBER_INVALID'],
      ['1e9 as text', { sizeBytes: '1e9' }, 'NUMBER_INVALID'],
      ['a size with a sign', { sizeBytes: '+10' }, 'NUMBER_INVALID'],
      ['more than the size limit', { sizeBytes: '9007199254740991' }, 'SIZE_TOO_LARGE'],
      ['a hash with other letters', { checksumSha256: 'G'.repeat(64) }, 'CHECKSUM_INVALID'],
      ['a hash in Base64', { checksumSha256: createHash('sha256').digest('base64') }, 'CHECKSUM_INVALID'],
      ['a hash of 63 digits', { checksumSha256: sha256('x').slice(1) }, 'CHECKSUM_INVALID'],
      ['parameters with a line break', { mimeType: 'image/svg+xml; charset=\r\nx: y' }, 'MIME_TYPE_INVALID'],
      ['two types', { mimeType: 'image/png, text/html' }, 'MIME_TYPE_INVALID'],
      ['a family', { mimeType: 'image/*' }, 'MIME_TYPE_INVALID'],
      ['a line break in a type', { mimeType: 'image/png\r\nx: y' }, 'MIME_TYPE_INVALID'],
    ])('rejects %s', async (_, wrong, reason) => {
      const { data, errors = [] } = await requestUpload(fleet, {
        ...inputFor('abc', 'text/plain'),
        ...wrong,
      });
      expect(data ?? null).toBeNull();
      expect(errors.map(({ extensions }) => extensions)).toEqual([
        expect.objectContaining({ code: 'BAD_USER_INPUT', reason }),
      ]);
    });

    it('accepts a size as a string, a type and a hash in capitals, and type parameters', async () => {
      const checksumSha256 = sha256('0123456789').toUpperCase();
      const type = 'TEXT/PLAIN; charset=utf-8';
      const input = { ...inputFor('0123456789', type), sizeBytes: '10', checksumSha256 };
      const { data } = await requestUpload(fleet, input, '50');
      expect(data?.requestUpload.asset).toMatchObject({ status: 'PENDING', mimeType: 'text/plain' });
      expect(await put(data!.requestUpload.upload!, '0123456789')).toBe(200);
    });

    it.each<[string, string, string]>([
      ['five bytes where none are declared', '', 'hello'],
      ['four bytes where five are declared', 'hello', 'hell'],
      ['six bytes where five are declared', 'hello', 'hello!'],
      ['ten times the declared bytes', 'hello', 'hello'.repeat(10)],
    ])('refuses at storage %s, and accepts the declared bytes then', async (name, declared, sent) => {
      const { data } = await requestUpload(fleet, inputFor(declared, 'text/plain', name), '51');
      const { asset, upload: ticket } = data!.requestUpload;
      expect(await put(ticket!, sent)).toBe(400);
      expect(await outcomeOf(fleet, asset.id, '51')).toMatchObject({ status: 'PENDING' });
      // The client may retry with the declared bytes.
      expect(await put(ticket!, declared)).toBe(200);
    });

    it('rejects other bytes of the declared size', async () => {
      const end = await upload(fleet, inputFor('hello', 'text/plain'), 'olleh', '52');
      expect(endOf(end)).toBe('CHECKSUM_MISMATCH');
    });

    it('rejects a prefix of the hashed bytes that has the declared size', async () => {
      const input = { ...inputFor('hello', 'text/plain'), sizeBytes: 4 };
      expect(endOf(await upload(fleet, input, 'hell', '52'))).toBe('CHECKSUM_MISMATCH');
    });

    it('accepts an empty file', async () => {
      expect(endOf(await upload(fleet, inputFor('', 'text/plain'), '', '52'))).toBe('text/plain');
    });
  });

  /** Source: X. Wang, H. Yu, "How to Break MD5 and Other Hash Functions". The two blocks differ in six bytes. */
  const COLLISION =
    'd131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a' +
    '085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0' +
    'e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70';
  const SIGN_BITS = [19, 45, 59, 83, 109, 123];

  it('keeps two files with one MD5 apart', async () => {
    const first = Buffer.from(COLLISION, 'hex');
    const second = Buffer.from(first);
    for (const at of SIGN_BITS) second[at]! ^= 0x80;
    const md5 = (bytes: Buffer) => createHash('md5').update(bytes).digest('hex');
    expect([first.equals(second), md5(first) === md5(second)]).toEqual([false, true]);

    for (const bytes of [first, second]) {
      const end = await upload(fleet, inputFor(bytes, 'application/octet-stream'), bytes, '53');
      expect(end).toMatchObject({ status: 'READY', checksumSha256: sha256(bytes) });
      const response = await fetch(end.inline!.url, { signal: AbortSignal.timeout(LIMIT_MS) });
      expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    }
  });

  it('leaves the worker running and no asset FAILED', () => {
    expect(fleet.workers.map(({ isRunning }) => isRunning)).toEqual([true]);
    expect([...outcomes.values()].filter(({ status }) => status === 'FAILED')).toEqual([]);
    expect(outcomes.size).toBe(FILES.length);
  });
});
