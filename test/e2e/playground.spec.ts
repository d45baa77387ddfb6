import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Chromium, findChromium } from './chromium.js';
import { Stack } from './stack.js';

const SCREENSHOT = path.resolve(import.meta.dirname, '../../docs/images/playground.png');

const executable = findChromium();
const isSkipped = executable === null && process.env.CI !== 'true';
if (isSkipped) {
  process.stdout.write('skipped: the playground in a browser (apt-get install chromium)\n');
}

/** Expression for the text in one of GraphiQL's editors. */
const editor = (selector: string) =>
  `document.querySelector('${selector} .CodeMirror').CodeMirror.getValue()`;
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

  const choose = async (index: number): Promise<void> => {
    const tab = `document.querySelectorAll('.graphiql-tab-button')[${index}]`;
    await page.evaluate(`${tab}.click()`);
    // GraphiQL parses the operation name a moment after the text changes.
    await page.until(
      'GraphiQL has read the tab',
      `document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.operationName === ${tab}.textContent`,
    );
  };

  /** Selects a tab, runs its operation unchanged, and returns the data of the answer. */
  const run = async <Data>(index: number): Promise<Data> => {
    await choose(index);
    await page.evaluate(click('.graphiql-execute-button'));
    const text = await page.until<string>(
      'an answer is shown',
      `(text => /"(data|errors)"/.test(text) && text)(${editor('.result-window')})`,
    );
    return (JSON.parse(text) as { data: Data }).data;
  };

  it('runs the first tab unchanged as the user of the embedded stack', async () => {
    const { viewer } = await run<{ viewer: { id: string; isAdmin: boolean } }>(0);
    expect(viewer).toMatchObject({ id: '1', isAdmin: false });
    if (process.env.UPDATE_SCREENSHOT === '1') await writeFile(SCREENSHOT, await page.screenshot());
  });

  it('runs every other tab unchanged', async () => {
    const { requestUpload } = await run<{ requestUpload: { asset: { status: string } } }>(1);
    expect(requestUpload.asset.status).toBe('PENDING');
    const { assets } = await run<{ assets: { nodes: { filename: string }[] } }>(2);
    expect(assets.nodes).toMatchObject([{ filename: 'hello.txt' }]);
    expect(await run(3)).toEqual({ asset: null });
    // No asset has the id of the example, so the answer is an error without data.
    expect(await run(4)).toBeUndefined();
    expect(await run(5)).toMatchObject({ assets: { nodes: [] } });
  });

  it('shows changes of an asset live', async () => {
    const { requestUpload } = await run<{ requestUpload: { asset: { id: string } } }>(1);
    const { id } = requestUpload.asset;
    await choose(4);
    const variables = `document.querySelector('.graphiql-editor-tool .CodeMirror').CodeMirror`;
    await page.until('its variables are shown', `${variables}.getValue().includes('"id"')`);
    await page.evaluate(`${variables}.setValue(${JSON.stringify(JSON.stringify({ id }))})`);
    await page.evaluate(click('.graphiql-execute-button'));
    const shown = (status: string) =>
      page.until(`${status} is shown`, `${editor('.result-window')}.includes('"${status}"')`);
    await shown('PENDING');
    const cancel = 'mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }';
    await stack.query(await stack.token('1'), cancel, { id });
    await shown('CANCELLED');
    await page.evaluate(click('.graphiql-execute-button'));
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
      `localStorage['graphiql:tabState'] && JSON.stringify(localStorage)`,
    );
    expect(kept).not.toContain('Bearer');
  });
});
