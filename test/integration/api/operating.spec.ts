import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { until } from '../../../libs/testing/src/until.js';
import { TestApi } from '../../../libs/testing/src/test-api.js';

const SHA256 = '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e746f6be03';
const input = (sizeBytes: number) => ({
  filename: 'f',
  mimeType: 'text/plain',
  sizeBytes,
  checksumSha256: SHA256,
});
const REQUEST = `mutation ($input: RequestUploadInput!) { requestUpload(input: $input) { asset { id } } }`;
const BATCH = `mutation ($inputs: [RequestUploadInput!]!) { requestUploads(inputs: $inputs) { __typename } }`;

interface Readiness {
  readonly ok: boolean;
  readonly checks: Record<string, { ok: boolean; latencyMs: number }>;
}

describe('metrics, health and rate limits of the api (real: PostgreSQL, queue, storage emulator, HTTP)', () => {
  let api: TestApi;
  beforeAll(async () => {
    api = await TestApi.start({ QUOTA_BYTES: '100', RATE_LIMIT_PER_MINUTE: '60' });
  });
  afterEach(() => void jest.restoreAllMocks());
  afterAll(() => api[Symbol.asyncDispose]());

  /** The value of a metric with these labels. */
  async function metric(name: string, labels = ''): Promise<number> {
    const text = await (await api.fetch('/metrics')).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name}${labels} `));
    return line === undefined ? 0 : Number(line.slice(`${name}${labels} `.length));
  }
  const requests = (operation: string, code: string) =>
    metric('stowage_graphql_requests_total', `{operation="${operation}",code="${code}"}`);

  it('counts operations by root field and code, whatever their names are', async () => {
    await api.query('query Secret { hers: viewer { id } }');
    await api.query(
      'query { ...A } fragment A on Query { viewer { id } ... on Query { viewer { isAdmin } } }',
    );
    await api.query('{ viewer { id } }', {}, null);
    await api.query('{ viewer { id } asset(id: "x") { id } }', {}, '43');
    await api.query('{ whatever }');
    await api.query('query Two { viewer { id } } query Three { viewer { id } }');
    await api.query('{ broken');
    expect(await requests('viewer', 'OK')).toBe(2);
    expect(await requests('viewer', 'UNAUTHENTICATED')).toBe(1);
    expect((await requests('several', 'OK')) + (await requests('several', 'BAD_USER_INPUT'))).toBe(1);
    expect(await requests('invalid', 'GRAPHQL_VALIDATION_FAILED')).toBe(1);
    expect(await requests('invalid', 'GRAPHQL_PARSE_FAILED')).toBe(1);
    expect(await requests('invalid', 'OPERATION_RESOLUTION_FAILURE')).toBe(1);
    expect(await metric('stowage_graphql_request_duration_seconds_count', '{operation="viewer"}')).toBe(3);
    expect(await (await api.fetch('/metrics')).text()).not.toMatch(/Secret|hers|whatever/);
  });

  it('counts quota refusals of single requests and of batches', async () => {
    await api.query(REQUEST, { input: input(101) }, '44');
    await api.query(BATCH, { inputs: [input(60), input(60), input(60)] }, '44');
    expect(await requests('requestUpload', 'QUOTA_EXCEEDED')).toBe(1);
    expect(await metric('stowage_quota_refusals_total')).toBe(3);
  });

  it('reports metrics of its pool and its process', async () => {
    expect(await metric('stowage_database_pool_connections', '{state="total"}')).toBeGreaterThan(0);
    expect(await metric('process_resident_memory_bytes')).toBeGreaterThan(1_000_000);
    const { headers } = await api.fetch('/metrics');
    expect(headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  /** Freezes the clock, because the rate limiter returns one request per second to a caller. */
  const atOneMoment = () => jest.spyOn(Date, 'now').mockReturnValue(Date.now());

  it('limits the rate of one caller without affecting another', async () => {
    atOneMoment();
    const inputs = Array.from({ length: 59 }, () => input(1));
    expect((await api.query(BATCH, { inputs }, '45')).errors).toBeUndefined();
    expect((await api.query('{ viewer { id } }', {}, '45')).errors).toBeUndefined();
    const { data, errors } = await api.query('{ viewer { id } }', {}, '45');
    expect(data).toBeNull();
    expect(errors?.[0]?.extensions).toEqual({
      code: 'RATE_LIMITED',
      reason: 'RATE_LIMITED',
      retryAfterSeconds: expect.any(Number),
    });
    expect((await api.query('{ viewer { id } }', {}, '46')).errors).toBeUndefined();
  });

  it('counts every root field of an operation against the rate limit', async () => {
    atOneMoment();
    const fields = Array.from({ length: 30 }, (_, index) => `a${index}: viewer { id }`).join(' ');
    for (const expected of [undefined, undefined, 'RATE_LIMITED']) {
      const { errors } = await api.query(`{ ${fields} }`, {}, '47');
      expect(errors?.[0]?.extensions.code).toBe(expected);
    }
  });

  it('reports liveness without checking dependencies', async () => {
    const response = await api.fetch('/health/live');
    expect([response.status, await response.json()]).toEqual([200, { ok: true }]);
  });

  it('is ready while its dependencies answer, names the one that fails, and ignores Pub/Sub', async () => {
    const ready = async () => {
      const response = await api.fetch('/health/ready');
      return { status: response.status, ...((await response.json()) as Readiness) };
    };
    const probe = (ok: boolean) => ({ ok, latencyMs: expect.any(Number) });
    const clock = { ...probe(true), offsetSeconds: expect.any(Number) };
    expect(await ready()).toEqual({
      status: 200,
      ok: true,
      checks: {
        clock,
        database: probe(true),
        queue: probe(true),
        storage: probe(true),
        pubsub: probe(false),
      },
    });
    await api.emulators.gcs.close();
    // A probe that times out also counts as failed for a moment.
    const down = await until('only storage is down besides Pub/Sub', async () => {
      const found = await ready();
      const failing = Object.keys(found.checks).filter((name) => !found.checks[name]!.ok);
      return failing.sort().join() === 'pubsub,storage' ? found : null;
    });
    expect(down).toEqual({
      status: 503,
      ok: false,
      checks: {
        clock,
        database: probe(true),
        queue: probe(true),
        storage: probe(false),
        pubsub: probe(false),
      },
    });
  });
});

it('signs URLs for the public endpoint of storage', async () => {
  await using api = await TestApi.start({ GCS_PUBLIC_ENDPOINT: 'https://storage.example.com' });
  const request = `mutation ($input: RequestUploadInput!) {
    requestUpload(input: $input) { asset { id } upload { url } }
  }`;
  const { data } = await api.query(request, { input: input(1) });
  expect(data).toMatchObject({
    requestUpload: { upload: { url: expect.stringMatching(/^https:\/\/storage\.example\.com\/incoming\//) } },
  });
  const resumable = await api.query(request, { input: { ...input(2), method: 'RESUMABLE' } });
  const { asset, upload } = (
    resumable.data as { requestUpload: { asset: { id: string }; upload: { url: string } } }
  ).requestUpload;
  const session = new URL(upload.url);
  expect([session.origin, session.searchParams.has('upload_id')]).toEqual([
    'https://storage.example.com',
    true,
  ]);
  // The service itself uses its internal endpoint of storage.
  const here = api.emulators.gcs.url + session.pathname + session.search;
  const state = await fetch(here, {
    method: 'PUT',
    headers: { 'content-range': 'bytes */*' },
    redirect: 'manual',
  });
  expect(state.status).toBe(308);
  const cancel = 'mutation ($id: ID!) { cancelUpload(assetId: $id) { status } }';
  expect((await api.query(cancel, { id: asset.id })).data).toEqual({ cancelUpload: { status: 'CANCELLED' } });
  expect((await fetch(here, { method: 'PUT', headers: { 'content-range': 'bytes */*' } })).status).toBe(499);
});
