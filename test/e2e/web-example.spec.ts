import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { until } from '../../libs/testing/src/until.js';
import { findChromium, type PageRequest } from './chromium.js';
import { ExamplePage } from './example-page.js';
import { document, photo, tone } from './samples.js';

const SCREENSHOT = path.resolve(import.meta.dirname, '../../docs/images/web-example.png');
const MIB = 2 ** 20;
/** Slow enough that an upload of the sizes below takes seconds, so that the test can act during it. */
const SLOWLY = { uploadBytesPerSecond: 3 * MIB };

const executable = findChromium();
const isSkipped = executable === null && process.env.CI !== 'true';
if (isSkipped) {
  process.stdout.write('skipped: the web example in a browser (apt-get install chromium)\n');
}

(isSkipped ? describe.skip : describe)('web example (real: everything, in headless Chromium)', () => {
  let page: ExamplePage;
  beforeAll(async () => {
    if (executable === null) throw new Error('chromium is not on PATH: apt-get install chromium');
    page = await ExamplePage.start(executable, { UPLOAD_URL_SECONDS: '5' });
  });
  afterAll(() => page?.[Symbol.asyncDispose]());

  it('uploads several files at once and shows their outcomes', async () => {
    const files: Record<string, Buffer | string> = {
      'photo.png': photo(),
      'tone.wav': tone(),
      'document.pdf': document(),
      'notes.txt': 'Grüße aus dem Lager\n',
      'nothing.txt': '',
      'fake.png': '<!doctype html><title>no picture</title>',
    };
    await page.choose(...(await Promise.all(Object.entries(files).map((entry) => page.file(...entry)))));
    expect(await page.reaches('photo.png', 'READY')).toBe('Picture stored');
    expect(await page.reaches('tone.wav', 'READY')).toBe('Audio stored');
    expect(await page.reaches('document.pdf', 'READY')).toBe('Document stored');
    expect(await page.reaches('notes.txt', 'READY')).toBe('Document stored');
    await page.reaches('nothing.txt', 'READY');
    expect(await page.reaches('fake.png', 'REJECTED')).toBe('This file is not what its name says.');
    const link = await page.browser.evaluate<string>(
      `(${page.row('photo.png')}).querySelector('.download').href`,
    );
    expect(Buffer.from(await (await fetch(link)).arrayBuffer()).equals(photo())).toBe(true);
    await page.browser.until(
      'the preview shows the small variant',
      `(${page.row('photo.png')}).querySelector('img')?.naturalWidth === 320`,
    );
    expect(await page.kept()).toBe(0);
  });

  it('announces changes to screen readers and labels all controls', async () => {
    const unnamed = await page.browser.evaluate<number>(
      `[...document.querySelectorAll('button, progress, img, a[href]')].filter((element) =>
        !(element.ariaLabel || element.alt)?.match(/\\.(png|wav|pdf|txt)$/)).length`,
    );
    expect(unnamed).toBe(0);
    expect(await page.browser.evaluate(`document.querySelector('#news').textContent`)).toMatch(/^\S+: \S+/);
    expect(
      await page.browser.evaluate(`(document.querySelector('#choose').focus(), document.activeElement.id)`),
    ).toBe('choose');
  });

  it('accepts a dropped file, and sends no bytes that the user has stored already', async () => {
    const before = page.browser.traffic.length;
    await page.browser.dropFiles('#drop', [await page.file('dropped.png', photo())]);
    await page.reaches('dropped.png', 'READY');
    expect(page.puts(before)).toEqual([]);
  });

  it('requests one upload for a file that is chosen twice', async () => {
    const twice = await page.file('twice.txt', 'only once');
    await Promise.all([page.choose(twice), page.choose(twice)]);
    await page.reaches('twice.txt', 'READY');
    expect(await page.statuses('twice.txt')).toEqual(['READY']);
    expect(await page.browser.evaluate(`document.querySelectorAll('#uploads li').length`)).toBe(8);
  });

  it('pauses, resumes, and resumes after a reload, at the offset that storage reports', async () => {
    const large = await page.file('large.bin', randomBytes(48 * MIB));
    await page.browser.network(SLOWLY);
    await page.choose(large);
    await page.sends('large.bin', 0.2);
    await page.press('large.bin', 'pause');
    await page.reaches('large.bin', 'PAUSED');
    expect(await page.browser.evaluate('document.activeElement.ariaLabel')).toBe('Resume large.bin');
    let since = page.browser.traffic.length;
    if (process.env.UPDATE_SCREENSHOT === '1') await writeFile(SCREENSHOT, await page.browser.screenshot());
    await page.press('large.bin', 'start');
    await page.sends('large.bin', 0.4);
    expectContinued(page.ranges(since), 8 * MIB);

    await page.browser.reload();
    expect(await page.reaches('large.bin', 'NEEDS_FILE')).toContain('choose the same file again');
    const shown = `[...(${page.row('large.bin')}).querySelectorAll('button')].flatMap((b) => (b.hidden ? [] : b.className))`;
    expect(await page.browser.evaluate<string[]>(shown)).toEqual(['cancel']);
    since = page.browser.traffic.length;
    await page.choose(large);
    await page.sends('large.bin', 0.6);
    expectContinued(page.ranges(since), 16 * MIB);
    await page.browser.network();
    await page.reaches('large.bin', 'READY');
    expect(await page.statuses('large.bin')).toEqual(['READY']);
    expect(await page.kept()).toBe(0);
  });

  /** Expects a status request first, and then only chunks from this offset on. */
  function expectContinued([question, ...pieces]: (string | undefined)[], from: number): void {
    expect(question).toBe(`bytes */${48 * MIB}`);
    expect(pieces.length).toBeGreaterThan(0);
    for (const piece of pieces) {
      expect(Number(/^bytes (\d+)-/.exec(piece ?? '')?.[1])).toBeGreaterThanOrEqual(from);
    }
  }

  it('resumes by itself after a broken connection and a network outage', async () => {
    const cut = await page.file('cut.bin', randomBytes(32 * MIB));
    await page.browser.network(SLOWLY);
    await page.choose(cut);
    await page.sends('cut.bin', 0.3);
    const since = page.browser.traffic.length;
    // The rule has no hit limit, because the browser itself repeats a request on a reused connection.
    const end = await page.trouble({ cutAfterBytes: 2 * MIB, direction: 'request' });
    await page.reaches('cut.bin', 'RETRYING');
    await page.browser.network({ offline: true });
    await page.complains(/ERR_INTERNET_DISCONNECTED/);
    expect(await page.reaches('cut.bin', 'RETRYING')).toBe('Storage cannot be reached; trying again soon');
    await end();
    await page.browser.network();
    await page.reaches('cut.bin', 'READY');
    expect(page.ranges(since)).toContain(`bytes */${32 * MIB}`);
    expect(page.ranges(since).some((range) => range?.startsWith('bytes 0-'))).toBe(false);
    expect(await page.statuses('cut.bin')).toEqual(['READY']);
    page.expected.push(/ERR_(CONNECTION_RESET|CONNECTION_CLOSED|EMPTY_RESPONSE)/);
  });

  it('detects stored bytes when the answer got lost', async () => {
    // Without an event the worker cannot store the bytes and delete the incoming object before the second PUT.
    await page.trouble({ events: 'lose' }, { times: 1, match: {} });
    await page.trouble({ cutAfterBytes: 0, direction: 'response' }, { times: 1 });
    await page.choose(await page.file('answer.txt', 'the answer got lost'));
    await page.reaches('answer.txt', 'READY');
    await page.complains(/status of 412/);
    expect(await page.statuses('answer.txt')).toEqual(['READY']);
  });

  it('gets a new URL when storage was down until the first URL expired', async () => {
    const since = page.browser.traffic.length;
    const end = await page.trouble({ status: 503 });
    await page.choose(await page.file('late.txt', 'late'));
    expect(await page.reaches('late.txt', 'RETRYING')).toMatch(/^Storage .*trying again soon$/);
    const [first] = page.puts(since);
    await until('the URL has expired', () => (expiryOf(first!) < Date.now() ? true : null));
    await end();
    await page.reaches('late.txt', 'READY');
    expect(expiryOf(page.puts(since).at(-1)!)).toBeGreaterThan(expiryOf(first!));
    expect(await page.statuses('late.txt')).toEqual(['READY']);
    page.expected.push(/status of 503/);
  });

  function expiryOf({ url }: PageRequest): number {
    const query = new URL(url).searchParams;
    const signed = query.get('X-Goog-Date')!.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
    return Date.parse(signed) + Number(query.get('X-Goog-Expires')) * 1000;
  }

  it('cancels an upload and releases its quota', async () => {
    const off = await page.file('off.bin', randomBytes(32 * MIB));
    await page.browser.network(SLOWLY);
    await page.choose(off);
    await page.sends('off.bin', 0.3);
    expect(await page.reservedBytes()).toBe(32 * MIB);
    await page.press('off.bin', 'cancel');
    await page.reaches('off.bin', 'CANCELLED');
    await page.browser.network();
    expect(await page.statuses('off.bin')).toEqual(['CANCELLED']);
    expect(await page.reservedBytes()).toBe(0);
    expect(await page.kept()).toBe(0);
  });

  it('refuses to resume with a changed file', async () => {
    const changed = await page.file('changed.bin', randomBytes(16 * MIB));
    await page.browser.network(SLOWLY);
    await page.choose(changed);
    await page.sends('changed.bin', 0.1);
    await page.press('changed.bin', 'pause');
    await page.browser.network();
    await page.file('changed.bin', randomBytes(16 * MIB + 1));
    await page.press('changed.bin', 'start');
    expect(await page.reaches('changed.bin', 'BROKEN')).toBe('The upload failed: The file was changed');
    await page.press('changed.bin', 'cancel');
    await page.reaches('changed.bin', 'CANCELLED');
    page.expected.push(/ERR_UPLOAD_FILE_CHANGED/);
  });

  it('shows errors of the API and keeps no record of the upload', async () => {
    await page.choose(await page.file('bad\u202Ename.txt', 'x'));
    expect(await page.reaches('bad\u202Ename.txt', 'BROKEN')).toBe(
      'The file’s name cannot be used. Rename it, and try again.',
    );
    await page.press('bad\u202Ename.txt', 'cancel');
    await page.reaches('bad\u202Ename.txt', 'CANCELLED');
    expect(await page.kept()).toBe(0);
  });

  it('receives changes over a WebSocket', async () => {
    const since = page.browser.frames.length;
    await page.choose(await page.file('live.txt', 'live'));
    await page.reaches('live.txt', 'READY');
    expect(page.browser.requests).toContain(page.stack.url.replace('http:', 'ws:'));
    expect(page.browser.frames.slice(since).some((frame) => frame.includes('"status":"READY"'))).toBe(true);
  });

  it('polls when there is no WebSocket', async () => {
    await page.browser.evaluate(`window.WebSocket = class { constructor() { throw new Error('blocked'); } }`);
    const since = page.browser.traffic.length;
    await page.choose(await page.file('asked.txt', 'asked'));
    await page.reaches('asked.txt', 'READY');
    const calls = page.browser.traffic
      .slice(since)
      .filter(({ url, method }) => url === page.stack.url && method === 'POST');
    // requestUpload and at least one poll.
    expect(calls.length).toBeGreaterThan(1);
  });

  it('sends requests only to itself, the API and storage, and gets no unexpected browser errors', () => {
    const others = page.browser.requests.filter(
      (url) => !/^(data|blob):/.test(url) && !page.hosts.includes(new URL(url).host),
    );
    expect(others).toEqual([]);
    expect(page.browser.requests.length).toBeGreaterThan(50);
    expect(
      page.browser.complaints.filter((text) => !page.expected.some((pattern) => pattern.test(text))),
    ).toEqual([]);
  });

  it('gives its token to no other site', async () => {
    const { status, headers } = await fetch(`${page.url}/settings.json`, {
      headers: { origin: 'http://elsewhere.example' },
    });
    expect(status).toBe(200);
    expect(headers.has('access-control-allow-origin')).toBe(false);
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self' 'wasm-/);
    expect((await fetch(`${page.url}/..%2fserve.ts`)).status).toBe(404);
    expect((await fetch(`${page.url}/serve.ts`)).status).toBe(404);
    expect((await fetch(page.url.replace('127.0.0.1', 'localhost'))).status).toBe(200);
    expect(await statusFor(`rebound.example:${page.stack.port + 5}`)).toBe(403);
  });

  /** Uses http, because fetch does not let a caller set the Host header. */
  const statusFor = (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const settings = {
        host: '127.0.0.1',
        port: page.stack.port + 5,
        path: '/settings.json',
        headers: { host },
      };
      get(settings, (response) => resolve(response.resume().statusCode)).once('error', reject);
    });
});
