import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { LIMIT_MS, until } from '../../libs/testing/src/until.js';
import { Chromium, type PageRequest } from './chromium.js';
import { Stack } from './stack.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

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

const serve = (stack: Stack) =>
  spawn(process.execPath, [path.join(ROOT, 'examples/web/serve.ts')], {
    env: { ...process.env, NODE_OPTIONS: '', DATA_DIR: stack.folder, PORT: String(stack.port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });

/** examples/web in a browser, with its own stack whose storage emulator can inject faults. */
export class ExamplePage implements AsyncDisposable {
  static async start(executable: string, env: NodeJS.ProcessEnv): Promise<ExamplePage> {
    const parts = new AsyncDisposableStack();
    try {
      const stack = parts.use(await Stack.make({ STORAGE_FAULTS: 'true', ...env }));
      await stack.start();
      const server = parts.adopt(serve(stack), async (child) => {
        if (child.exitCode === null && child.kill()) await once(child, 'exit');
      });
      const [line] = (await once(server.stdout.setEncoding('utf8'), 'data')) as [string];
      const browser = parts.use(await Chromium.start(executable));
      const page = new ExamplePage(stack, browser, await stack.token('1'), parts);
      if (line !== `Example  ${page.url}/\n`) throw new Error(`The example said ${line}`);
      await browser.open(`${page.url}/`);
      return page;
    } catch (error) {
      await parts.disposeAsync();
      throw error;
    }
  }

  /** Browser errors that the test provoked. */
  readonly expected: RegExp[] = [];

  private constructor(
    readonly stack: Stack,
    readonly browser: Chromium,
    private readonly token: string,
    private readonly parts: AsyncDisposableStack,
  ) {}

  /** Hosts of the API, of storage and of the example server. */
  get hosts(): string[] {
    return [0, 1, 5].map((offset) => `127.0.0.1:${this.stack.port + offset}`);
  }

  get url(): string {
    return `http://${this.hosts[2]}`;
  }

  /** Writes a file for the test to choose and returns its path. */
  async file(name: string, bytes: Buffer | string): Promise<string> {
    const at = path.join(this.stack.folder, name);
    await writeFile(at, bytes);
    return at;
  }

  choose(...files: string[]): Promise<void> {
    return this.browser.chooseFiles('#choose', files);
  }

  /** Returns a JavaScript expression for a file's row. */
  row(name: string): string {
    return `[...document.querySelectorAll('#uploads li')].find((li) => li.querySelector('.name').textContent === '${name}')`;
  }

  press(name: string, button: 'pause' | 'start' | 'cancel'): Promise<void> {
    return this.browser.evaluate(
      `(button => (button.focus(), button.click()))((${this.row(name)}).querySelector('.${button}'))`,
    );
  }

  /** Waits for a phase and returns the state text of the row. */
  reaches(name: string, phase: string): Promise<string> {
    return this.browser.until<string>(
      `${name} is ${phase}`,
      `(li => li?.dataset.phase === '${phase}' && li.querySelector('.state').textContent)(${this.row(name)})`,
    );
  }

  /** Waits until the page has sent a share of a file (0 to 1). */
  async sends(name: string, share: number): Promise<void> {
    await this.browser.until(
      `${name} is ${share} sent`,
      `(li => li?.dataset.phase === 'SENDING' && li.querySelector('progress').value >= ${share})(${this.row(name)})`,
    );
  }

  /** Counts the uploads that the page keeps in localStorage to resume them. */
  kept(): Promise<number> {
    return this.browser.evaluate('Object.keys(localStorage).length');
  }

  /** Statuses of the assets with this filename. */
  async statuses(name: string): Promise<string[]> {
    const { nodes } = (await this.assets()).assets;
    return nodes.filter(({ filename }) => filename === name).map(({ status }) => status);
  }

  async reservedBytes(): Promise<number> {
    return (await this.assets()).viewer.quota.reservedBytes;
  }

  /** PUT requests after the first `since` requests. */
  puts(since: number): PageRequest[] {
    return this.browser.traffic.slice(since).filter(({ method }) => method === 'PUT');
  }

  /** Content-Range headers of the PUT requests after the first `since` requests. */
  ranges(since: number): (string | undefined)[] {
    return this.puts(since).map(
      ({ headers }) => Object.entries(headers).find(([name]) => /^content-range$/i.test(name))?.[1],
    );
  }

  /** Adds a fault rule to the storage emulator and returns a function that removes all rules. */
  async trouble(
    action: object,
    { match = { method: 'PUT' }, times }: { match?: object; times?: number } = {},
  ): Promise<() => Promise<unknown>> {
    const faults = `http://${this.hosts[1]}/_emulator/faults`;
    const answer = await fetch(faults, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ match, times, action }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    if (!answer.ok) throw new Error(await answer.text());
    return () => fetch(faults, { method: 'DELETE', signal: AbortSignal.timeout(LIMIT_MS) });
  }

  /** Waits until the browser reports a matching error, and marks the error as expected. */
  async complains(pattern: RegExp): Promise<void> {
    await until(String(pattern), () =>
      this.browser.complaints.some((text) => pattern.test(text)) ? true : null,
    );
    this.expected.push(pattern);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.parts.disposeAsync();
  }

  private async assets(): Promise<Assets> {
    const { data, errors } = await this.stack.query<Assets>(this.token, ASSETS);
    if (!data) throw new Error(JSON.stringify(errors));
    return data;
  }
}
