import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { actor, INCOMING, sha256, World } from '../../../libs/testing/src/world.js';

/** On a busy machine a reader takes long to get its seconds of CPU time. */
const TIMEOUT_MS = 600_000;
const PDF = { mimeType: 'application/pdf' };
const endless = (name: string) => `%PDF-1.7\n${name} is endless`;

describe('content that exhausts its reader (real: PostgreSQL, queue, storage emulator, readers)', () => {
  let world: World;
  beforeAll(async () => {
    const readers = [path.join(import.meta.dirname, 'endless-reader.ts')];
    world = await World.start({ inspectSeconds: 2, readers, profiles: ['small=webp:80:80'] });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const costs = (bytes: string) =>
    world.database.prisma.contentCost.findMany({ where: { sha256: sha256(bytes) } });

  it(
    'is retried once, then rejected for every asset with these bytes',
    async () => {
      const bytes = endless('one');
      const first = await world.upload(bytes, PDF, actor(1n));
      expect(first).toMatchObject({ status: 'PROCESSING', attempt: 2 });
      await world.process(await world.job(first.id));
      const refused = { status: 'REJECTED', statusReason: { code: 'TOO_COSTLY' } };
      expect(await world.asset(first.id)).toMatchObject(refused);
      expect(await costs(bytes)).toMatchObject([{ exhausted: 2 }]);

      expect(await world.upload(bytes, PDF, actor(2n))).toMatchObject({ ...refused, attempt: 1 });
      // No reader ran again.
      expect(await costs(bytes)).toMatchObject([{ exhausted: 2 }]);
      expect(await world.objects(INCOMING)).toEqual([]);
      expect(await world.quotas.of(2n)).toMatchObject({ reservedBytes: 0, usedBytes: 0 });
    },
    TIMEOUT_MS,
  );

  it('is reported only to callers who uploaded the bytes', async () => {
    const bytes = endless('one');
    const { id, job } = await world.received(bytes, PDF, actor(3n), `${bytes.slice(0, -1)}S`);
    await world.process(job);
    expect(await world.asset(id)).toMatchObject({ statusReason: { code: 'CHECKSUM_MISMATCH' } });
  });

  it(
    'restarts its count under other limits and clears it when the content is read',
    async () => {
      const bytes = endless('two');
      const limits = '1 s, 1 pixels, 1 frames';
      const row = { scope: '', sha256: sha256(bytes), exhausted: 2, limits, updatedAt: new Date() };
      await world.database.prisma.contentCost.create({ data: row });
      const asset = await world.upload(bytes, PDF, actor(4n));
      expect(asset).toMatchObject({ status: 'PROCESSING', attempt: 2 });
      const [counted] = await costs(bytes);
      expect(counted).toMatchObject({ exhausted: 1, limits: expect.not.stringMatching(limits) as unknown });

      const honest = '%PDF-1.7\nhonest';
      const once = { ...row, sha256: sha256(honest), exhausted: 1, limits: counted!.limits };
      await world.database.prisma.contentCost.create({ data: once });
      expect(await world.upload(honest, PDF, actor(4n))).toMatchObject({ status: 'READY' });
      expect(await costs(honest)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
