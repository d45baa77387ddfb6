import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { it, expect } from '@jest/globals';
import { startGcsEmulator, startPubSubEmulator } from '#libs/gcp-emulator';
import { provision } from '#libs/storage/gcs';
it('x', async () => {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'st-'));
  const pubsub = await startPubSubEmulator({ port: 0, dataDir: path.join(dir, 'p') });
  const gcs = await startGcsEmulator({ port: 0, dataDir: path.join(dir, 'g') });
  const o = { projectId: 'p', storage: { endpoint: gcs.url }, pubsub: { emulator: pubsub.address }, names: { incomingBucket: 'incoming', contentBucket: 'content', quarantineBucket: 'quarantine', subscription: 'finalized' } };
  console.log(await provision({ ...o, dryRun: true }), await provision(o), await provision(o));
  await gcs.close(); await pubsub.close(); await fs.rm(dir, { recursive: true }); expect(1).toBe(1);
});
