import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Chromium, findChromium, type PageRequest } from './chromium.js';
import { document, photo, tone } from './samples.js';
import { until } from '../support/until.js';
import { Stack } from './stack.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SCREENSHOT = path.join(ROOT, 'docs/images/web-example.png');
const MIB = 2 ** 20;
/** Of the sizes below, this takes seconds: long enough to get in between. */
const SLOWLY = { uploadBytesPerSecond: 8 * MIB };

const executable = findChromium();
const isSkipped = executable === null && process.env.CI !== 'true';
if (isSkipped) {
  process.stdout.write('skipped: the web example in a browser (apt-get install chromium)\n');
}

const row = (name: string) =>
  `[...document.querySelectorAll('#uploads li')].find((li) => li.querySelector('.name').textContent === '${name}')`;
const ASSETS = `{
  assets(first: 100, filter: { status: [PENDING, PROCESSING, READY, REJECTED, CANCELLED] }) {
    nodes { filename status }
  }
  viewer { quota { reservedBytes } }
}`;

interface Assets {
  readonly assets: { readonly nodes: { readonly filename: string; readonly status: string }[] };
  readonly viewer: { readonly quota: { readonly reservedBytes: number } };
}

(isSkipped ? describe.skip : describe)('the web example (real: everything, in headless Chromium)', () => {
  let stack: Stack;
  let server: ChildProcess;
  let page: Chromium;
  let token: string;
  let hosts: string[];
  /** What the browser says of troubles that we made ourselves. */
  const expected: RegExp[] = [];

  beforeAll(async () => {
    if (executable === null) throw new Error('chromium is not on PATH: apt-get install chromium');
    stack = await Stack.make({ UPLOAD_URL_SECONDS: '5', STORAGE_FAULTS: 'true' });
    await stack.start();
    token = await stack.token('1');
    hosts = [0, 1, 5].map((offset) => `127.0.0.1:${stack.port + offset}`);
    server = spawn(process.execPath, [path.join(ROOT, 'examples/web/serve.ts')], {
      env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: stack.folder, PORT: String(stack.port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(server.stdout!.setEncoding('utf8'), 'data')) as [string];
    expect(line).toBe(`Example  http://${hosts[2]}/\n`);
    page = await Chromium.start(executable);
    await page.open(`http://${hosts[2]}/`);
  }, 120_000);
  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
    if (server?.exitCode === null && server.kill()) await once(server, 'exit');
    await stack?.[Symbol.asyncDispose]();
  }, 60_000);

  const file = async (name: string, bytes: Buffer | string) => {
    const at = path.join(stack.folder, name);
    await writeFile(at, bytes);
    return at;
  };
  const choose = (...files: string[]) => page.chooseFiles('#choose', files);
  const press = (name: string, button: 'pause' | 'start' | 'cancel') =>
    page.evaluate(`(button => (button.focus(), button.click()))((${row(name)}).querySelector('.${button}'))`);
  /** Waits for a phase; returns what the row says then. */
  const reaches = (name: string, phase: string) =>
    page.until<string>(
      `${name} is ${phase}`,
      `(li => li?.dataset.phase === '${phase}' && li.querySelector('.state').textContent)(${row(name)})`,
    );
  const sends = (name: string, share: number) =>
    page.until(
      `${name} is ${share} sent`,
      `(li => li?.dataset.phase === 'SENDING' && li.querySelector('progress').value >= ${share})(${row(name)})`,
    );
  const assets = async () => (await stack.query<Assets>(token, ASSETS)).data!;
  /** Of the assets of a name. */
  const statuses = async (name: string) =>
    (await assets()).assets.nodes.filter(({ filename }) => filename === name).map(({ status }) => status);
  const reserved = async () => (await assets()).viewer.quota.reservedBytes;
  /** Has storage go wrong, by an action of the emulator's; returns what puts an end to it. */
  const trouble = async (
    action: object,
    { match = { method: 'PUT' }, times }: { match?: object; times?: number } = {},
  ) => {
    const faults = `http://${hosts[1]}/_emulator/faults`;
    const signal = AbortSignal.timeout(10_000);
    const rule = { match, times, action };
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(faults, { method: 'POST', headers, body: JSON.stringify(rule), signal });
    expect(answer.status).toBe(200);
    return () => fetch(faults, { method: 'DELETE', signal: AbortSignal.timeout(10_000) });
  };
  /** Waits until the browser says so, which is what we wanted. */
  const complains = async (pattern: RegExp) => {
    await until(String(pattern), () => (page.complaints.some((text) => pattern.test(text)) ? true : null));
    expected.push(pattern);
  };
  /** The ranges that pieces were sent with since a request. */
  const ranges = (since: number) =>
    page.traffic
      .slice(since)
      .filter(({ method }) => method === 'PUT')
      .map(({ headers }) => Object.entries(headers).find(([name]) => /^content-range$/i.test(name))?.[1]);
  const kept = () => page.evaluate<number>(`Object.keys(localStorage).length`);

  it('sends several files at once, and shows what became of them', async () => {
    const files: Record<string, Buffer | string> = {
      'photo.png': photo(),
      'tone.wav': tone(),
      'document.pdf': document(),
      'notes.txt': 'Grüße aus dem Lager\n',
      'nothing.txt': '',
      'fake.png': '<!doctype html><title>no picture</title>',
    };
    await choose(...(await Promise.all(Object.entries(files).map((entry) => file(...entry)))));
    expect(await reaches('photo.png', 'READY')).toBe('Ready, image/png');
    expect(await reaches('tone.wav', 'READY')).toBe('Ready, audio/wav');
    expect(await reaches('document.pdf', 'READY')).toBe('Ready, application/pdf');
    expect(await reaches('notes.txt', 'READY')).toBe('Ready, text/plain');
    await reaches('nothing.txt', 'READY');
    expect(await reaches('fake.png', 'REJECTED')).toBe(
      'Rejected: image/png was declared, the bytes are text/html. (TYPE_MISMATCH)',
    );
    const link = await page.evaluate<string>(`(${row('photo.png')}).querySelector('.download').href`);
    expect(Buffer.from(await (await fetch(link)).arrayBuffer()).equals(photo())).toBe(true);
    await page.until(
      'the preview is there',
      `(${row('photo.png')}).querySelector('img')?.naturalWidth === 640`,
    );
    expect(await kept()).toBe(0);
  }, 60_000);

  it('tells those who do not see it, and can be used by them', async () => {
    const unnamed = await page.evaluate<number>(
      `[...document.querySelectorAll('button, progress, img, a[href]')].filter((element) =>
        !(element.ariaLabel || element.alt)?.match(/\\.(png|wav|pdf|txt)$/)).length`,
    );
    expect(unnamed).toBe(0);
    expect(await page.evaluate(`document.querySelector('#news').textContent`)).toMatch(/^\S+: \S+/);
    expect(
      await page.evaluate(`(document.querySelector('#choose').focus(), document.activeElement.id)`),
    ).toBe('choose');
  });

  it('takes a file that is dropped, and of one that its user has already sends nothing', async () => {
    const before = page.traffic.length;
    await page.dropFiles('#drop', [await file('dropped.png', photo())]);
    await reaches('dropped.png', 'READY');
    expect(page.traffic.slice(before).filter(({ method }) => method === 'PUT')).toEqual([]);
  }, 60_000);

  it('asks once for a file that is chosen twice', async () => {
    const twice = await file('twice.txt', 'only once');
    await Promise.all([choose(twice), choose(twice)]);
    await reaches('twice.txt', 'READY');
    expect(await statuses('twice.txt')).toEqual(['READY']);
    expect(await page.evaluate(`document.querySelectorAll('#uploads li').length`)).toBe(8);
  }, 60_000);

  it('pauses, goes on, and goes on after a reload, where storage says that it was', async () => {
    const large = await file('large.bin', randomBytes(48 * MIB));
    await page.network(SLOWLY);
    await choose(large);
    await sends('large.bin', 0.2);
    await press('large.bin', 'pause');
    await reaches('large.bin', 'PAUSED');
    expect(await page.evaluate('document.activeElement.ariaLabel')).toBe('Resume large.bin');
    let since = page.traffic.length;
    if (process.env.UPDATE_SCREENSHOT === '1') await writeFile(SCREENSHOT, await page.screenshot());
    await press('large.bin', 'start');
    await sends('large.bin', 0.4);
    expectContinued(ranges(since), 8 * MIB);

    await page.reload();
    expect(await reaches('large.bin', 'NEEDS_FILE')).toContain('choose the same file again');
    since = page.traffic.length;
    await choose(large);
    await sends('large.bin', 0.6);
    expectContinued(ranges(since), 16 * MIB);
    await page.network();
    await reaches('large.bin', 'READY');
    expect(await statuses('large.bin')).toEqual(['READY']);
    expect(await kept()).toBe(0);
  }, 90_000);

  /** First the question, then no byte before this one. */
  function expectContinued([question, ...pieces]: (string | undefined)[], from: number): void {
    expect(question).toBe(`bytes */${48 * MIB}`);
    expect(pieces.length).toBeGreaterThan(0);
    for (const piece of pieces) {
      expect(Number(/^bytes (\d+)-/.exec(piece ?? '')?.[1])).toBeGreaterThanOrEqual(from);
    }
  }

  it('goes on by itself when the connection breaks and the network is away', async () => {
    const cut = await file('cut.bin', randomBytes(32 * MIB));
    await page.network(SLOWLY);
    await choose(cut);
    await sends('cut.bin', 0.3);
    const since = page.traffic.length;
    // Not once: a request on a connection that was used before, the browser itself sends again.
    const end = await trouble({ cutAfterBytes: 2 * MIB, direction: 'request' });
    await page.until('the connection broke', `(${row('cut.bin')}).dataset.phase === 'RETRYING'`);
    await page.network({ offline: true });
    await complains(/ERR_INTERNET_DISCONNECTED/);
    expect(await reaches('cut.bin', 'RETRYING')).toBe('Storage cannot be reached; trying again soon');
    await end();
    await page.network();
    await reaches('cut.bin', 'READY');
    expect(ranges(since)).toContain(`bytes */${32 * MIB}`);
    expect(ranges(since).some((range) => range?.startsWith('bytes 0-'))).toBe(false);
    expect(await statuses('cut.bin')).toEqual(['READY']);
    expected.push(/ERR_(CONNECTION_RESET|CONNECTION_CLOSED|EMPTY_RESPONSE)/);
  }, 90_000);

  it('finds that its bytes are there when the answer got lost', async () => {
    // Else its bytes could be stored, and gone from where they came, before the second PUT.
    await trouble({ events: 'lose' }, { times: 1, match: {} });
    await trouble({ cutAfterBytes: 0, direction: 'response' }, { times: 1 });
    await choose(await file('answer.txt', 'the answer got lost'));
    await reaches('answer.txt', 'READY');
    await complains(/status of 412/);
    expect(await statuses('answer.txt')).toEqual(['READY']);
  }, 60_000);

  it('gets a fresh URL when storage was down until the first had expired', async () => {
    const since = page.traffic.length;
    const puts = () => page.traffic.slice(since).filter(({ method }) => method === 'PUT');
    const end = await trouble({ status: 503 });
    await choose(await file('late.txt', 'late'));
    expect(await reaches('late.txt', 'RETRYING')).toMatch(/^Storage .*trying again soon$/);
    const [first] = puts();
    await until('the URL has expired', () => (expiryOf(first!) < Date.now() ? true : null));
    await end();
    await reaches('late.txt', 'READY');
    expect(expiryOf(puts().at(-1)!)).toBeGreaterThan(expiryOf(first!));
    expect(await statuses('late.txt')).toEqual(['READY']);
    expected.push(/status of 503/);
  }, 90_000);

  function expiryOf({ url }: PageRequest): number {
    const query = new URL(url).searchParams;
    const signed = query.get('X-Goog-Date')!.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5');
    return Date.parse(signed) + Number(query.get('X-Goog-Expires')) * 1000;
  }

  it('calls an upload off, and the quota is back', async () => {
    const off = await file('off.bin', randomBytes(32 * MIB));
    await page.network(SLOWLY);
    await choose(off);
    await sends('off.bin', 0.3);
    expect(await reserved()).toBe(32 * MIB);
    await press('off.bin', 'cancel');
    await reaches('off.bin', 'CANCELLED');
    await page.network();
    expect(await statuses('off.bin')).toEqual(['CANCELLED']);
    expect(await reserved()).toBe(0);
    expect(await kept()).toBe(0);
  }, 60_000);

  it('does not go on with a file that was changed', async () => {
    const changed = await file('changed.bin', randomBytes(16 * MIB));
    await page.network(SLOWLY);
    await choose(changed);
    await sends('changed.bin', 0.1);
    await press('changed.bin', 'pause');
    await page.network();
    await file('changed.bin', randomBytes(16 * MIB + 1));
    await press('changed.bin', 'start');
    expect(await reaches('changed.bin', 'BROKEN')).toBe('It did not work: The file was changed');
    await press('changed.bin', 'cancel');
    await reaches('changed.bin', 'CANCELLED');
    expected.push(/ERR_UPLOAD_FILE_CHANGED/);
  }, 60_000);

  it('says what the API refuses, and keeps nothing of it', async () => {
    await choose(await file('bad\u202Ename.txt', 'x'));
    expect(await reaches('bad\u202Ename.txt', 'BROKEN')).toMatch(/^It did not work: /);
    await press('bad\u202Ename.txt', 'cancel');
    await reaches('bad\u202Ename.txt', 'CANCELLED');
    expect(await kept()).toBe(0);
  }, 60_000);

  it('hears of changes over a socket', async () => {
    const since = page.frames.length;
    await choose(await file('live.txt', 'live'));
    await reaches('live.txt', 'READY');
    expect(page.requests).toContain(stack.url.replace('http:', 'ws:'));
    expect(page.frames.slice(since).some((frame) => frame.includes('"status":"READY"'))).toBe(true);
  }, 60_000);

  it('finds out by asking where there is no socket', async () => {
    await page.evaluate(`window.WebSocket = class { constructor() { throw new Error('blocked'); } }`);
    const since = page.traffic.length;
    await choose(await file('asked.txt', 'asked'));
    await reaches('asked.txt', 'READY');
    const calls = page.traffic
      .slice(since)
      .filter(({ url, method }) => url === stack.url && method === 'POST');
    // The request itself, and what came of it.
    expect(calls.length).toBeGreaterThan(1);
  }, 60_000);

  it('asks no host but its own, the API and storage, and the browser complains of nothing', () => {
    const others = page.requests.filter(
      (url) => !/^(data|blob):/.test(url) && !hosts.includes(new URL(url).host),
    );
    expect(others).toEqual([]);
    expect(page.requests.length).toBeGreaterThan(50);
    expect(page.complaints.filter((text) => !expected.some((pattern) => pattern.test(text)))).toEqual([]);
  });

  it('gives its token to nobody else', async () => {
    const { status, headers } = await fetch(`http://${hosts[2]}/settings.json`, {
      headers: { origin: 'http://elsewhere.example' },
    });
    expect(status).toBe(200);
    expect(headers.has('access-control-allow-origin')).toBe(false);
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    expect(headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self' 'wasm-/);
    expect((await fetch(`http://${hosts[2]}/..%2fserve.ts`)).status).toBe(404);
    expect((await fetch(`http://${hosts[2]}/serve.ts`)).status).toBe(404);
    expect((await fetch(`http://localhost:${stack.port + 5}/`)).status).toBe(200);
    expect(await statusFor(`rebound.example:${stack.port + 5}`)).toBe(403);
  });

  /** fetch lets nobody choose the Host. */
  const statusFor = (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const settings = { host: '127.0.0.1', port: stack.port + 5, path: '/settings.json', headers: { host } };
      get(settings, (response) => resolve(response.resume().statusCode)).once('error', reject);
    });
});
