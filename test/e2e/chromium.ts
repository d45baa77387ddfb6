import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { LIMIT_MS, until } from '../../libs/testing/src/until.js';

/** Returns the path of `chromium` on PATH, or null if it is not installed. */
export function findChromium(): string | null {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, 'chromium');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return null;
}

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--window-size=1400,900',
  '--remote-debugging-port=0',
];

/** A network request of the page. WebSocket handshakes are recorded without headers. */
export interface PageRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/**
 * A page of a headless Chromium with an empty profile, driven over the DevTools protocol
 * (https://chromedevtools.github.io/devtools-protocol/). Records the page's network requests and its errors.
 */
export class Chromium implements AsyncDisposable {
  static async start(executable: string): Promise<Chromium> {
    const profile = await mkdtemp(path.join(os.tmpdir(), 'stowage-chromium-'));
    const child = spawn(executable, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: 'ignore',
    });
    const [port] = await until('Chromium publishes its DevTools port', async () => {
      if (child.exitCode !== null) throw new Error(`Chromium ended with code ${child.exitCode}`);
      const text = await readFile(path.join(profile, 'DevToolsActivePort'), 'utf8').catch(() => '');
      return text.includes('\n') ? text.split('\n') : null;
    });
    const target = await until('Chromium has a page', async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/json/list`, {
        signal: AbortSignal.timeout(LIMIT_MS),
      });
      const targets = (await answer.json()) as { type: string; webSocketDebuggerUrl: string }[];
      return targets.find(({ type }) => type === 'page') ?? null;
    });
    const socket = new WebSocket(target.webSocketDebuggerUrl);
    await once(socket, 'open');
    const page = new Chromium(child, profile, socket);
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await page.call(`${domain}.enable`);
    return page;
  }

  /** All HTTP requests and WebSocket handshakes of the page, in order. */
  readonly traffic: PageRequest[] = [];
  /** Payloads of received WebSocket frames. */
  readonly frames: string[] = [];
  /** Script errors, console errors and requests that the browser blocked. */
  readonly complaints: string[] = [];
  /** Filenames that Chromium suggested for downloads. */
  private readonly downloads: string[] = [];
  private readonly waiting = new Map<number, (message: Message) => void>();
  private calls = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly profile: string,
    private readonly socket: WebSocket,
  ) {
    socket.addEventListener('message', ({ data }) => this.onMessage(JSON.parse(String(data)) as Message));
  }

  /** URLs of all HTTP requests and WebSocket handshakes, in order. */
  get requests(): string[] {
    return this.traffic.map(({ url }) => url);
  }

  async open(url: string): Promise<void> {
    await this.call('Page.navigate', { url });
    await this.until(
      'the page is loaded',
      `document.readyState === 'complete' && location.href !== 'about:blank'`,
    );
  }

  /** Returns the filename that Chromium suggests for a download of the URL. Saving is denied. */
  async downloadName(url: string): Promise<string> {
    await this.call('Browser.setDownloadBehavior', { behavior: 'deny', eventsEnabled: true });
    const before = this.downloads.length;
    await this.call('Page.navigate', { url });
    return until('a download begins', () => Promise.resolve(this.downloads[before] ?? null));
  }

  /** Reloads the page and waits for the new document. */
  async reload(): Promise<void> {
    await this.evaluate('window.isOld = true');
    await this.call('Page.reload');
    await this.until('the page is reloaded', `document.readyState === 'complete' && !window.isOld`);
  }

  /** Selects files by path in an `<input type="file">`. */
  async chooseFiles(selector: string, files: readonly string[]): Promise<void> {
    const expression = `document.querySelector(${JSON.stringify(selector)})`;
    const { result } = (await this.call('Runtime.evaluate', { expression })) as {
      result: { objectId: string };
    };
    await this.call('DOM.setFileInputFiles', { files, objectId: result.objectId });
  }

  /** Drops files onto the middle of an element. */
  async dropFiles(selector: string, files: readonly string[]): Promise<void> {
    const [x, y] = await this.evaluate<[number, number]>(
      `(({ x, y, width, height }) => [x + width / 2, y + height / 2])(
        document.querySelector(${JSON.stringify(selector)}).getBoundingClientRect())`,
    );
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) {
      await this.call('Input.dispatchDragEvent', { type, x, y, data });
    }
  }

  /** Emulates an offline network or limits the upload rate; without options the network is unlimited. */
  async network({ offline = false, uploadBytesPerSecond = -1 } = {}): Promise<void> {
    await this.call('Network.emulateNetworkConditions', {
      offline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: uploadBytesPerSecond,
    });
  }

  /** Evaluates an expression in the page, awaits promises and returns the value. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
    return result.value;
  }

  /** Waits until an expression is truthy and returns its value. */
  until<T>(what: string, expression: string): Promise<T> {
    return until(what, async () => (await this.evaluate<T>(expression)) || null);
  }

  /** Returns a PNG of the visible page. */
  async screenshot(): Promise<Buffer> {
    const { data } = (await this.call('Page.captureScreenshot', { format: 'png' })) as { data: string };
    return Buffer.from(data, 'base64');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) {
      const exit = once(this.child, 'exit');
      // Chromium may hang while it closes, until its own watchdog ends it after five minutes.
      this.child.kill('SIGKILL');
      await exit;
    }
    // Chromium's child processes may still be writing to the profile.
    await rm(this.profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }

  private call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    const id = ++this.calls;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no answer to ${method}`)), LIMIT_MS);
      this.waiting.set(id, ({ result, error }) => {
        clearTimeout(timer);
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result ?? {});
      });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }

  private onMessage({ id, method, params, ...answer }: Message): void {
    if (id !== undefined) {
      this.waiting.get(id)?.(answer);
      this.waiting.delete(id);
    } else if (method === 'Network.requestWillBeSent') {
      this.traffic.push(params?.request as PageRequest);
    } else if (method === 'Network.webSocketCreated') {
      this.traffic.push({ method: 'GET', url: String(params?.url), headers: {} });
    } else if (method === 'Network.webSocketFrameReceived') {
      this.frames.push((params?.response as { payloadData: string }).payloadData);
    } else if (method === 'Browser.downloadWillBegin') {
      this.downloads.push(String(params?.suggestedFilename));
    } else if (method === 'Runtime.exceptionThrown') {
      this.complaints.push(JSON.stringify(params?.exceptionDetails));
    } else if (method === 'Runtime.consoleAPICalled' && params?.type === 'error') {
      this.complaints.push(JSON.stringify(params.args));
    } else if (method === 'Log.entryAdded') {
      const { level, text, url } = params?.entry as { level: string; text: string; url?: string };
      if (level === 'error') this.complaints.push(`${text} ${url ?? ''}`);
    }
  }
}
