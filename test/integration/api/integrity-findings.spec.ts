import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { IntegrityFindingsService } from '#libs/content';
import { TestApi } from '../../../libs/testing/src/test-api.js';

interface Page {
  readonly nodes: Record<string, unknown>[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

describe('integrity findings (real: the api, PostgreSQL)', () => {
  const foundAt = new Date('2026-07-01T10:00:00.123Z');
  const repairedAt = new Date('2026-07-02T10:00:00.123Z');
  const assetId = randomUUID();
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start();
    const findings = api.app.get(IntegrityFindingsService, { strict: false });
    for (const owner of [1, 2, 3]) {
      const drift = { problem: 'QUOTA_DRIFT', subject: `owner ${owner}`, detail: 'drift' } as const;
      await findings.report(drift, foundAt);
    }
    const missing = { problem: 'MISSING', subject: 'object 12', detail: 'size 5, none found' } as const;
    await findings.report({ ...missing, bucket: 'content', objectKey: 'content/ab', assetId }, foundAt);
    await findings.close({ problem: 'QUOTA_DRIFT', subject: 'owner 2' }, repairedAt);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());

  const ask = (args: string, fields: string) =>
    api.query(
      `{ admin { integrityFindings${args} { nodes { ${fields} } pageInfo { hasNextPage endCursor } } } }`,
      {},
      '1000',
      { scope: 'stowage.admin' },
    );
  async function page(args: string, fields = 'subject repaired repairedAt'): Promise<Page> {
    const { data, errors } = await ask(args, fields);
    expect(errors).toBeUndefined();
    return (data as { admin: { integrityFindings: Page } }).admin.integrityFindings;
  }

  it('name the object, the asset and the values', async () => {
    const fields = 'id problem subject bucket objectKey assetId detail repaired foundAt repairedAt';
    expect((await page('(first: 1)', fields)).nodes).toEqual([
      {
        id: expect.stringMatching(/^\d+$/),
        problem: 'MISSING',
        subject: 'object 12',
        bucket: 'content',
        objectKey: 'content/ab',
        assetId,
        detail: 'size 5, none found',
        repaired: false,
        foundAt: foundAt.toISOString(),
        repairedAt: null,
      },
    ]);
  });

  it('are listed page by page, newest first, also the repaired ones', async () => {
    const first = await page('(first: 3)');
    expect(first.nodes).toEqual([
      { subject: 'object 12', repaired: false, repairedAt: null },
      { subject: 'owner 3', repaired: false, repairedAt: null },
      { subject: 'owner 2', repaired: true, repairedAt: repairedAt.toISOString() },
    ]);
    const second = await page(`(first: 3, after: "${first.pageInfo.endCursor}")`);
    expect(second.nodes).toEqual([{ subject: 'owner 1', repaired: false, repairedAt: null }]);
    expect([first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([true, false]);
  });

  it.each([
    ['(first: 0)', 'PAGE_INVALID'],
    ['(first: 101)', 'PAGE_INVALID'],
    ['(after: "x")', 'CURSOR_INVALID'],
  ])('refuse %s', async (args, reason) => {
    expect((await ask(args, 'id')).errors).toMatchObject([
      { extensions: { code: 'BAD_USER_INPUT', reason } },
    ]);
  });
});
