import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EXAMPLES, operationName } from '../../libs/stowage/src/api/playground/examples/index.js';
import { Chromium, findChromium } from './chromium.js';
import { put, Stack, type Ticket } from './stack.js';

const SCREENSHOT = path.resolve(import.meta.dirname, '../../docs/images/playground.png');

const executable = findChromium();
const isSkipped = executable === null && process.env.CI !== 'true';
if (isSkipped) {
  process.stdout.write('skipped: the playground in a browser (apt-get install chromium)\n');
}

const FOR_USERS = EXAMPLES.filter(({ forOperators }) => !forOperators).flatMap(({ examples }) => examples);
const FOR_OPERATORS = EXAMPLES.filter(({ forOperators }) => forOperators).flatMap(({ examples }) => examples);

/** Expressions for GraphiQL's editors, and for the names of its tabs and of the examples in the pane. */
const QUERY = `document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror`;
const VARIABLES = `document.querySelectorAll('.graphiql-editor-tool .CodeMirror')[0].CodeMirror`;
const HEADERS = `document.querySelectorAll('.graphiql-editor-tool .CodeMirror')[1].CodeMirror`;
const RESULT = `document.querySelector('.result-window .CodeMirror').CodeMirror`;
const TABS = `[...document.querySelectorAll('.graphiql-tab-button')].map((tab) => tab.textContent)`;
const PANE = `[...document.querySelectorAll('.examples button')].map((button) => button.textContent)`;
const click = (selector: string) => `document.querySelector('${selector}').click()`;

(isSkipped ? describe.skip : describe)('playground (real: everything, in headless Chromium)', () => {
  let stack: Stack;
  let page: Chromium;
  beforeAll(async () => {
    if (executable === null) throw new Error('chromium is not on PATH: apt-get install chromium');
    stack = await Stack.make();
    await stack.start();
    page = await Chromium.start(executable);
    await page.open(stack.url);
    await page.until('GraphiQL is loaded', `document.querySelector('.graphiql-execute-button') !== null`);
  });
  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
    await stack?.[Symbol.asyncDispose]();
  });

  /** Chooses an example in the pane by a double click. */
  const choose = async (name: string): Promise<void> => {
    const button = `[...document.querySelectorAll('.examples button')].find((button) => button.textContent === '${name}')`;
    await page.evaluate(`${button}.click(), ${button}.click()`);
    await page.until(
      `${name} is marked`,
      `document.querySelector('.examples .active')?.textContent === '${name}'`,
    );
  };

  /** Opens an example. GraphiQL parses its text a moment after it shows it. */
  const open = async (name: string): Promise<void> => {
    await choose(name);
    await page.until(`${name} is parsed`, `${QUERY}.documentAST?.definitions[0].name.value === '${name}'`);
  };

  /** Runs the operation of the current tab, and returns its answer. */
  const execute = async <Data>(): Promise<{ data: Data; errors?: unknown[] }> => {
    await page.evaluate(`${RESULT}.setValue('')`);
    await page.evaluate(click('.graphiql-execute-button'));
    const text = await page.until<string>(
      'an answer is shown',
      `(text => /"(data|errors)"/.test(text) && text)(${RESULT}.getValue())`,
    );
    return JSON.parse(text) as { data: Data; errors?: unknown[] };
  };
  const run = async <Data>(name: string): Promise<Data> => {
    await open(name);
    return (await execute<Data>()).data;
  };

  const authorize = async (token: string | null): Promise<void> => {
    const headers = token === null ? '' : JSON.stringify({ Authorization: `Bearer ${token}` });
    await page.evaluate(`${HEADERS}.setValue(${JSON.stringify(headers)})`);
  };
  const namesOf = (examples: typeof FOR_USERS) => examples.map(operationName);
  const shows = (names: readonly string[]) => `${PANE}.join() === '${names.join()}'`;

  it('runs the first tab unchanged as the user of the embedded stack', async () => {
    const { data } = await execute<{ viewer: { id: string; isAdmin: boolean } }>();
    expect(data.viewer).toMatchObject({ id: '1', isAdmin: false });
  });

  it('uploads a file with the ticket of its example, and shows the changes live', async () => {
    const { requestUpload } = await run<{ requestUpload: { asset: { id: string }; upload: Ticket } }>(
      'RequestUpload',
    );
    await open('AssetChanged');
    const variables = JSON.stringify({ id: requestUpload.asset.id });
    await page.evaluate(`${VARIABLES}.setValue(${JSON.stringify(variables)})`);
    await page.evaluate(click('.graphiql-execute-button'));
    const shown = (status: string) =>
      page.until(`${status} is shown`, `${RESULT}.getValue().includes('"${status}"')`);
    await shown('PENDING');
    expect(await put(requestUpload.upload, 'hello\n')).toBe(200);
    await shown('READY');
    await page.evaluate(click('.graphiql-execute-button'));
  });

  it('lists the file', async () => {
    const { assets } = await run<{ assets: { nodes: object[] } }>('Assets');
    expect(assets.nodes).toMatchObject([{ filename: 'hello.txt', status: 'READY' }]);
    if (process.env.UPDATE_SCREENSHOT === '1') await writeFile(SCREENSHOT, await page.screenshot());
  });

  it('opens each example in one tab, which keeps its text', async () => {
    expect(await page.evaluate(PANE)).toEqual(namesOf(FOR_USERS));
    for (const example of FOR_USERS) await choose(operationName(example));
    expect((await page.evaluate<string[]>(TABS)).sort()).toEqual(namesOf(FOR_USERS).sort());
    for (const example of FOR_USERS.filter(({ query }) => !query.includes(' AssetChanged'))) {
      await open(operationName(example));
      expect(await page.evaluate(`[${QUERY}.getValue(), ${VARIABLES}.getValue()]`)).toEqual([
        example.query,
        example.variables === undefined ? '' : JSON.stringify(example.variables, null, 2),
      ]);
    }
  });

  it('shows the examples of operators for their tokens only', async () => {
    await authorize(await stack.token('9', { scope: 'stowage.admin' }));
    const all = [...namesOf(FOR_USERS), ...namesOf(FOR_OPERATORS)];
    await page.until('the examples of operators are shown', shows(all));
    const { admin } = await run<{ admin: { quota: object } }>('OwnerQuota');
    expect(admin.quota).toMatchObject({ usedAssets: 1, limitAssets: 100_000 });
    for (const example of FOR_OPERATORS) await choose(operationName(example));
    expect((await page.evaluate<string[]>(TABS)).sort()).toEqual(all.sort());
    await authorize(await stack.token('2'));
    await page.until('they are hidden for another user', shows(namesOf(FOR_USERS)));
    expect(await run('Viewer')).toMatchObject({ viewer: { id: '2' } });
    await authorize(await stack.token('9', { scope: 'stowage.admin' }));
    await page.until('they are shown again', shows([...namesOf(FOR_USERS), ...namesOf(FOR_OPERATORS)]));
    await authorize(null);
    await page.until('they are hidden without a token', shows(namesOf(FOR_USERS)));
  });

  it('shows the schema', async () => {
    await page.evaluate(click('button[aria-label="Show Documentation Explorer"]'));
    await page.until('the root types are shown', `document.body.innerText.includes('Mutation')`);
  });

  it('opens the settings dialog', async () => {
    await page.evaluate(click('button[aria-label="Open settings dialog"]'));
    await page.until('the dialog is open', `document.querySelector('.graphiql-dialog-section') !== null`);
  });

  it('sends requests to no other host, and gets no browser errors', () => {
    const others = page.requests.filter(
      (url) => !url.startsWith('data:') && new URL(url).host !== `127.0.0.1:${stack.port}`,
    );
    expect(page.requests.length).toBeGreaterThan(5);
    expect(others).toEqual([]);
    expect(page.complaints).toEqual([]);
  });

  it('keeps no token in the browser', async () => {
    const kept = await page.until<string>(
      'the tabs are kept',
      `JSON.parse(localStorage['graphiql:tabState'] ?? null)?.tabs.length === ${TABS}.length && JSON.stringify(localStorage)`,
    );
    // The first example shows the form of the header.
    expect(kept).not.toMatch(/Bearer (?!TOKEN)/);
  });

  it('shows the tabs of the last visit again, with the configured token', async () => {
    const tabs = await page.evaluate(TABS);
    await page.reload();
    await page.until('GraphiQL is loaded', `document.querySelector('.examples') !== null`);
    expect(await page.evaluate(TABS)).toEqual(tabs);
    expect(await run('Viewer')).toMatchObject({ viewer: { id: '1' } });
  });
});
