import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Database } from '#libs/database';
import { TestApi } from '../../../libs/testing/src/test-api.js';

describe('admin operations (real: the api, PostgreSQL, queue)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
    const letters = Array.from({ length: 5 }, (_, index) => ({
      source: 'process-asset',
      error: `error ${index}`,
      attempts: 5,
      payload: '{}',
    }));
    await api.app.get(Database).prisma.deadLetter.createMany({ data: letters });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  const asOperator = async (query: string) => api.query(query, {}, '1000', { scope: 'stowage.admin' });
  type Page = {
    nodes: { id: string; error: string; state: string }[];
    pageInfo: { hasNextPage: boolean; endCursor: string };
  };
  const page = async (args: string): Promise<Page> => {
    const query = `{ admin { deadLetters(${args}) { nodes { id error state } pageInfo { hasNextPage endCursor } } } }`;
    return ((await asOperator(query)).data as { admin: { deadLetters: Page } }).admin.deadLetters;
  };

  it.each([
    '{ admin { deadLetters { nodes { id } } } }',
    'mutation { retryDeadLetter(id: "1") { id } }',
    'mutation { discardDeadLetter(id: "1") { id } }',
  ])('are FORBIDDEN to other callers: %s', async (query) => {
    expect((await api.query(query)).errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  it('list dead letters page by page, newest first', async () => {
    const first = await page('first: 3');
    expect(first.nodes.map(({ error }) => error)).toEqual(['error 4', 'error 3', 'error 2']);
    const second = await page(`first: 3, after: "${first.pageInfo.endCursor}"`);
    expect(second.nodes.map(({ error }) => error)).toEqual(['error 1', 'error 0']);
    expect([first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([true, false]);
  });

  it('discard a dead letter once and repeat the answer', async () => {
    const { id } = (await page('first: 1, state: OPEN')).nodes[0]!;
    const discard = `mutation { discardDeadLetter(id: "${id}") { id state } }`;
    for (let time = 0; time < 2; time++) {
      expect((await asOperator(discard)).data).toEqual({ discardDeadLetter: { id, state: 'DISCARDED' } });
    }
    expect((await page('state: DISCARDED')).nodes.map((letter) => letter.id)).toEqual([id]);
    expect((await asOperator(`mutation { retryDeadLetter(id: "${id}") { id } }`)).errors).toMatchObject([
      { extensions: { code: 'CONFLICT', reason: 'DEAD_LETTER_CLOSED' } },
    ]);
  });

  it('reject the retry of a dead letter without a handler for its source', async () => {
    const data = { source: 'an old source', error: 'error', attempts: 1, payload: '{}' };
    const { id } = await api.app.get(Database).prisma.deadLetter.create({ data });
    expect((await asOperator(`mutation { retryDeadLetter(id: "${id}") { id } }`)).errors).toMatchObject([
      { extensions: { code: 'CONFLICT', reason: 'DEAD_LETTER_NOT_RETRIABLE' } },
    ]);
    expect(await page('first: 1')).toMatchObject({ nodes: [{ id: String(id), state: 'OPEN' }] });
  });

  it.each(['0', 'x', '999999'])('report the dead letter %s as not found', async (id) => {
    expect((await asOperator(`mutation { discardDeadLetter(id: "${id}") { id } }`)).errors).toMatchObject([
      { path: ['discardDeadLetter'], extensions: { code: 'NOT_FOUND', reason: 'DEAD_LETTER_NOT_FOUND' } },
    ]);
  });
});
