import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { LIMIT_MS, until } from '../support/until.js';

/** Where the browser is, or null when it is not installed. */
export function findChromium(): string | null {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, 'chromium');
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here.
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

/** A request as the page asked the network for it; a socket is one without headers. */
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
 * A page of a headless Chromium with an empty profile, over the DevTools protocol
 * (https://chromedevtools.github.io/devtools-protocol/). It remembers what it asked the network for, and what it complained of.
 */
export class Chromium implements AsyncDisposable {
  static async start(executable: string): Promise<Chromium> {
    const profile = await mkdtemp(path.join(os.tmpdir(), 'stowage-chromium-'));
    const child = spawn(executable, [...FLAGS, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: 'ignore',
    });
    const [port] = await until('Chromium says where it listens', async () => {
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

  /** All requests and sockets of the page itself, in order. */
  readonly traffic: PageRequest[] = [];
  /** What came over sockets. */
  readonly frames: string[] = [];
  /** Errors of scripts, and what the browser refused to do. */
  readonly complaints: string[] = [];
  /** Names under which it would have saved what it was sent as an attachment. */
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

  /** URLs of all requests and sockets, in order. */
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

  /** The name under which it would save what the URL leads to; nothing is saved. */
  async downloadName(url: string): Promise<string> {
    await this.call('Browser.setDownloadBehavior', { behavior: 'deny', eventsEnabled: true });
    const before = this.downloads.length;
    await this.call('Page.navigate', { url });
    return until('a download begins', () => Promise.resolve(this.downloads[before] ?? null));
  }

  /** As a person would: the page is gone, and comes again. */
  async reload(): Promise<void> {
    await this.evaluate('window.isOld = true');
    await this.call('Page.reload');
    await this.until('the page is loaded again', `document.readyState === 'complete' && !window.isOld`);
  }

  /** Chooses files, by their paths, in an `<input type="file">`. */
  async chooseFiles(selector: string, files: readonly string[]): Promise<void> {
    const expression = `document.querySelector(${JSON.stringify(selector)})`;
    const { result } = (await this.call('Runtime.evaluate', { expression })) as {
      result: { objectId: string };
    };
    await this.call('DOM.setFileInputFiles', { files, objectId: result.objectId });
  }

  /** Drags files from elsewhere into the middle of an element, and lets go. */
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

  /** Cuts the page off, or lets it send so many bytes a second; with nothing given, as fast as it can. */
  async network({ offline = false, uploadBytesPerSecond = -1 } = {}): Promise<void> {
    await this.call('Network.emulateNetworkConditions', {
      offline,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput: uploadBytesPerSecond,
    });
  }

  /** The value of an expression in the page; promises are waited for. */
  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? 'the page threw');
    return result.value;
  }

  /** Waits for an expression to be true, or to have another value that counts as true; returns it. */
  until<T>(what: string, expression: string): Promise<T> {
    return until(what, async () => (await this.evaluate<T>(expression)) || null);
  }

  /** A PNG of what is to be seen. */
  async screenshot(): Promise<Buffer> {
    const { data } = (await this.call('Page.captureScreenshot', { format: 'png' })) as { data: string };
    return Buffer.from(data, 'base64');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exit = once(this.child, 'exit');
    if (this.child.exitCode === null) {
      await this.call('Browser.close').catch(() => this.child.kill('SIGKILL'));
      await exit;
    }
    // Its own children may still be writing.
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
