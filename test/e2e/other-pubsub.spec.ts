import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from '@jest/globals';
import { startPubSubEmulator } from '#libs/gcp-emulator';
import { until } from '../../libs/testing/src/until.js';
import { put, Stack, type Ticket } from './stack.js';

it('uses the Pub/Sub server that PUBSUB_EMULATOR_HOST names', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'stowage-pubsub-'));
  const pubsub = await startPubSubEmulator({ port: 0, dataDir: folder });
  try {
    await using stack = await Stack.make({ PUBSUB_EMULATOR_HOST: pubsub.address });
    await stack.start();
    const token = await stack.token('1');
    const checksumSha256 = createHash('sha256').update('hello').digest('hex');
    const { data } = await stack.query<{ requestUpload: { asset: { id: string }; upload: Ticket } }>(
      token,
      `mutation ($input: RequestUploadInput!) {
        requestUpload(input: $input) { asset { id } upload { httpMethod url headers { name value } } }
      }`,
      { input: { filename: 'a.txt', mimeType: 'text/plain', sizeBytes: 5, checksumSha256 } },
    );
    const { asset, upload } = data!.requestUpload;
    expect(await put(upload, 'hello')).toBe(200);
    const status = await until('the asset has a final status', async () => {
      const answer = await stack.query<{ asset: { status: string } }>(
        token,
        `{ asset(id: "${asset.id}") { status } }`,
      );
      const found = answer.data?.asset.status ?? '';
      return ['PENDING', 'PROCESSING'].includes(found) ? null : found;
    });
    expect(status).toBe('READY');
  } finally {
    await pubsub.close();
    await rm(folder, { recursive: true, force: true });
  }
});
