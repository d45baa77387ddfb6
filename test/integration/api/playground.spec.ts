import { afterEach, describe, expect, it } from '@jest/globals';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

describe('playground page (real: HTTP)', () => {
  let api: TestApi;
  const start = async (env: NodeJS.ProcessEnv) => (api = await TestApi.start(env));
  afterEach(() => api[Symbol.asyncDispose]());

  const page = () => api.fetch('/graphql', { headers: BROWSER });
  const assetsOf = (html: string) =>
    [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map(([, path = '']) => path);

  it('serves a page with a strict content security policy and immutable assets', async () => {
    await start({});
    const response = await page();
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'self'; /),
      'x-frame-options': 'DENY',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    });
    const html = await response.text();
    expect(html).not.toMatch(/https?:|"\/\/|Bearer (?!TOKEN)/);
    const assets = assetsOf(html);
    expect(assets).toHaveLength(6);
    for (const path of assets) {
      const { status, headers } = await api.fetch(path);
      expect({ path, status, ...Object.fromEntries(headers) }).toMatchObject({
        status: 200,
        'content-type': path.endsWith('.css') ? 'text/css; charset=utf-8' : 'text/javascript; charset=utf-8',
        'cache-control': 'public, max-age=31536000, immutable',
        'x-content-type-options': 'nosniff',
      });
    }
    expect((await api.fetch('/graphql/assets/graphiql-3.8.3/../../package.json')).status).toBe(404);
  });

  it('escapes the configured token in the page', async () => {
    await start({ NODE_ENV: 'production', PLAYGROUND: 'true', PLAYGROUND_TOKEN: 'a.b.c</script><script>' });
    const html = await (await page()).text();
    expect(html).toContain('Bearer a.b.c\\u003c/script>');
    expect(html.match(/<script/g)).toHaveLength(5);
  });

  it('does not affect API clients', async () => {
    await start({});
    expect((await api.query('{ viewer { id } }')).data).toEqual({ viewer: { id: '42' } });
    const headers = { accept: 'application/json', 'content-type': 'application/json' };
    const answer = await api.fetch('/graphql?query={__typename}', { headers });
    expect(await answer.json()).toEqual({ data: { __typename: 'Query' } });
  });

  it.each([{ PLAYGROUND: 'false' }, { NODE_ENV: 'production' }])('is absent with %j', async (env) => {
    await start(env);
    expect((await page()).headers.get('content-type')).not.toContain('text/html');
    expect((await api.fetch('/graphql/assets/graphiql-3.8.3/graphiql.min.js')).status).toBe(404);
  });

  it('is served only under the allowed host names', async () => {
    await start({
      NODE_ENV: 'production',
      PLAYGROUND: 'true',
      ALLOWED_HOSTS: 'localhost:1, elsewhere.example',
    });
    const response = await page();
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ reason: 'HOST_NOT_ALLOWED' });
  });
});
