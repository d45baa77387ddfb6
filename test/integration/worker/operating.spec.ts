import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Fleet } from '../../support/fleet.js';
import { LIMIT_MS, until } from '../../../libs/testing/src/until.js';

const REQUEST = `mutation ($input: RequestUploadInput!) {
  requestUpload(input: $input) { asset { id } upload { url headers { name value } } }
}`;
const STATUS = `query ($id: ID!) { asset(id: $id) { status } }`;

interface Requested {
  readonly requestUpload: {
    readonly asset: { readonly id: string };
    readonly upload: { readonly url: string; readonly headers: { name: string; value: string }[] };
  };
}
interface Readiness {
  readonly ok: boolean;
  readonly checks: Record<string, { ok: boolean; latencyMs: number }>;
}

describe('metrics and health of the worker (real: api and worker as processes, PostgreSQL, emulators)', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.start();
  });
  afterAll(() => fleet?.[Symbol.asyncDispose]());

  const worker = () => fleet.workers[0]!;
  const metrics = async () => (await worker().fetch('/metrics')).text();
  async function metric(name: string): Promise<number> {
    const line = (await metrics()).split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? 0 : Number(line.slice(name.length + 1));
  }

  async function upload(text: string, declared = text): Promise<string> {
    const input = {
      filename: 'f.txt',
      mimeType: 'text/plain',
      sizeBytes: Buffer.byteLength(declared),
      checksumSha256: createHash('sha256').update(declared).digest('hex'),
    };
    const { requestUpload } = await fleet.query<Requested>(REQUEST, { input });
    const { asset, upload: ticket } = requestUpload;
    const headers = Object.fromEntries(ticket.headers.map(({ name, value }) => [name, value]));
    const { status } = await fetch(ticket.url, {
      method: 'PUT',
      headers,
      body: text,
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    expect(status).toBe(200);
    return until('the asset reaches a terminal state', async () => {
      const { asset: found } = await fleet.query<{ asset: { status: string } }>(STATUS, { id: asset.id });
      return ['PENDING', 'PROCESSING'].includes(found.status) ? null : found.status;
    });
  }

  it('serves health and metrics only under the allowed host names and to no browser page', async () => {
    const host = 'worker.test:1';
    const { port } = await fleet.addWorker({ WORKER_ALLOWED_HOSTS: host });
    const statusOf = async (path: string, headers: http.OutgoingHttpHeaders) => {
      const request = http.get({
        host: '127.0.0.1',
        port,
        path,
        headers: { host, ...headers },
        agent: false,
      });
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    const foreign = [
      { host: 'evil.example' },
      { host: `127.0.0.1:${port}` },
      { origin: 'https://evil.example' },
      { origin: `http://${host}` },
      { 'sec-fetch-site': 'cross-site' },
    ];
    for (const path of ['/metrics', '/health/live', '/health/ready', '/nowhere']) {
      for (const headers of foreign) expect([path, headers, await statusOf(path, headers)]).toContain(403);
    }
    expect([await statusOf('/metrics', {}), await statusOf('/health/live', {})]).toEqual([200, 200]);
    await fleet.workers.pop()!.end();
  });

  it('counts uploads, stages and outcomes', async () => {
    expect(await upload('honest')).toBe('READY');
    expect(await upload('lying!', 'truth!')).toBe('REJECTED');
    await until('both are counted', async () =>
      (await metric('stowage_processing_results_total{outcome="rejected"}')) === 1 ? true : null,
    );
    expect(await metric('stowage_processing_results_total{outcome="ready"}')).toBe(1);
    expect(await metric('stowage_processing_bytes_total')).toBe(6);
    expect(await metric('stowage_processing_rejections_total{code="CHECKSUM_MISMATCH"}')).toBe(1);
    expect(await metric('stowage_scan_verdicts_total{outcome="clean"}')).toBe(2);
    expect(await metric('stowage_upload_arrivals_total{outcome="claimed"}')).toBe(2);
    expect(await metric('stowage_upload_seconds_count')).toBe(2);
    expect(await metric('stowage_processing_stage_seconds_count{stage="read",outcome="ok"}')).toBe(1);
    expect(await metric('stowage_processing_stage_seconds_count{stage="read",outcome="rejected"}')).toBe(1);
    for (const stage of ['store', 'settle']) {
      expect(await metric(`stowage_processing_stage_seconds_count{stage="${stage}",outcome="ok"}`)).toBe(1);
    }
  });

  it('reports the length and age of its queue', async () => {
    const isEmpty = (text: string) =>
      ['waiting', 'active', 'delayed'].every((state) =>
        text.includes(`stowage_queue_jobs{queue="process-asset",state="${state}"} 0`),
      );
    // An asset commits shortly before its job completes.
    await until('the queue is empty', async () => isEmpty(await metrics()) || null);
    expect(await metrics()).toContain('stowage_queue_oldest_waiting_seconds{queue="process-asset"} 0');
    expect(await metric('stowage_database_pool_connections{state="total"}')).toBeGreaterThan(0);
  });

  it('reports ready while every check passes and names the check that fails', async () => {
    const ready = async () => {
      const response = await worker().fetch('/health/ready');
      return { status: response.status, ...((await response.json()) as Readiness) };
    };
    const probe = (ok: boolean) => ({ ok, latencyMs: expect.any(Number) });
    const names = ['database', 'inspection', 'queue', 'scanner', 'storage'];
    const clock = { ...probe(true), offsetSeconds: expect.any(Number) };
    const others = { clock, ...Object.fromEntries(names.map((name) => [name, probe(true)])) };
    expect(await ready()).toEqual({ status: 200, ok: true, checks: { ...others, pubsub: probe(true) } });
    const restart = await fleet.emulators.stopPubSub();
    // A probe that times out also counts as failed for a moment.
    const down = await until('Pub/Sub alone is down', async () => {
      const found = await ready();
      const failing = Object.keys(found.checks).filter((name) => !found.checks[name]!.ok);
      return failing.join() === 'pubsub' ? found : null;
    });
    expect(down).toEqual({ status: 503, ok: false, checks: { ...others, pubsub: probe(false) } });
    await restart();
    await until('the worker is ready again', async () => ((await ready()).ok ? true : null));
    expect(await (await worker().fetch('/health/live')).json()).toEqual({ ok: true });
  });
});
