import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import sharp from 'sharp';
import { parseProfiles } from '#libs/domain';
import { InspectionExtensions } from '#libs/inspection';
import { defineFeature } from '#libs/stowage';
import { actor, CONTENT, INCOMING, QUARANTINE, World } from '../../../libs/testing/src/world.js';
import { emptyWorld } from '../../support/empty-world.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const later = (ms: number) => new Date(Date.now() + ms);
const GPX = { filename: 'a.gpx', mimeType: 'application/gpx+xml' };
const PNG = { filename: 'a.png', mimeType: 'image/png' };
const module = new URL('../inspection/feature-module.ts', import.meta.url);
const tracks = defineFeature({
  name: 'tracks',
  compatibility: '*',
  readers: [
    {
      ...{ id: 'track', revision: 1, seconds: 5, module },
      types: /^application\/gpx\+xml$/,
      properties: { trackLengthMeters: { type: 'float', min: 0, max: 1e9 } },
    },
  ],
});

const picture = (width: number) =>
  sharp({ create: { width, height: 100, channels: 3, background: '#abc' } })
    .png()
    .toBuffer();

/** Makes several cases for a task. @returns the time of its runs, and the sorted actions that are due */
type Prepare = (world: World) => Promise<{ readonly now?: Date; readonly actions: string[] }>;

/** A PROCESSING asset that failed. */
async function failed(world: World, bytes: string) {
  const { id } = await world.received(bytes);
  const letter = { source: 'test', assetId: id, error: 'bug', attempts: 5, payload: '{}' };
  const reason = { code: 'PROCESSING_FAILED', message: 'x' } as const;
  await world.transitions.fail(await world.asset(id), reason, letter, new Date());
  return id;
}

const change = (world: World, assetId: string, data: object) =>
  world.database.prisma.mediaAsset.update({ where: { assetId }, data });

/** Uploads a text and deletes its asset for good, but not its stored object. */
async function unreferenced(world: World, text: string) {
  const { id, storedObjectId } = await world.upload(text);
  await world.database.prisma.mediaAsset.delete({ where: { assetId: id } });
  const data = { refCount: 0, pinnedUntil: new Date() };
  await world.database.prisma.storedObject.update({ where: { id: storedObjectId! }, data });
  return storedObjectId!;
}

const TASKS: [name: string, prepare: Prepare][] = [
  [
    'expire-uploads',
    async (world) => {
      const empty = [await world.request('a'), await world.request('b', {}, actor(43n))];
      const { id: sent, ticket } = await world.request('abc');
      await world.put(ticket, 'abc');
      const renewed = await world.request('d');
      await change(world, renewed.id, { uploadDeadlineAt: later(DAY_MS), nextCheckAt: new Date() });
      await world.uploads.cancel(actor(), (await world.request('e')).id);
      await world.received('f');
      const actions = [...empty.map(({ id }) => `expire asset ${id}`), `process asset ${sent}`];
      return { now: later(80 * MINUTE_MS), actions };
    },
  ],
  [
    'reconcile-uploads',
    async (world) => {
      const { id: sent, ticket } = await world.request('abc');
      await world.put(ticket, 'abc');
      const waiting = await world.request('a');
      for (const id of [sent, waiting.id]) await change(world, id, { uploadDeadlineAt: later(30 * DAY_MS) });
      await world.request('b');
      const lost = await world.received('c');
      await world.received('d');
      await world.queue.remove(`${lost.id}.${lost.job.generation}.1`);
      const [lapsed, recent] = [await failed(world, 'e'), await failed(world, 'f')];
      await change(world, recent, { updatedAt: later(6 * DAY_MS), nextCheckAt: new Date() });
      const actions = [`process asset ${sent}`, `enqueue asset ${lost.id}`, `expire asset ${lapsed}`];
      return { now: later(8 * DAY_MS), actions };
    },
  ],
  [
    'remove-incoming',
    async (world) => {
      const [left, gone, pending] = [
        await world.upload('a'),
        await world.upload('b'),
        await world.request('c'),
      ];
      for (const { id } of [left, gone]) await change(world, id, { incomingPresent: true });
      for (const { id } of [left, pending])
        await world.emulators.put({ bucket: INCOMING, key: id }, Buffer.from('a'), {
          contentType: 'text/plain',
        });
      return { now: later(80 * MINUTE_MS), actions: [`delete incoming object of asset ${left.id}`] };
    },
  ],
  [
    'remove-unreferenced',
    async (world) => {
      const ids = [await unreferenced(world, 'a'), await unreferenced(world, 'b')];
      await world.upload('c');
      const pinned = await unreferenced(world, 'd');
      const data = { pinnedUntil: later(DAY_MS) };
      await world.database.prisma.storedObject.update({ where: { id: pinned }, data });
      return { now: later(MINUTE_MS), actions: ids.map((id) => `delete object ${id}`) };
    },
  ],
  [
    'quarantine',
    async (world) => {
      const [infected] = [await world.upload('a'), await world.upload('b')];
      await world.stored.markInfected({ id: infected.storedObjectId! });
      return { actions: [`quarantine object ${infected.storedObjectId}`] };
    },
  ],
  [
    'signatures',
    async (world) => {
      world.scanner.label = 'scripted 1';
      const assets = [await world.upload('a'), await world.upload('b virus')];
      world.scanner.label = 'scripted 2';
      await world.upload('c');
      world.scanner.answers.set('virus', { outcome: 'infected', signature: 'Test' });
      return { actions: assets.map(({ storedObjectId }) => `scan object ${storedObjectId}`) };
    },
  ],
  [
    'variants',
    async (world) => {
      const assets = [
        await world.upload(await picture(200), PNG),
        await world.upload(await picture(210), PNG),
      ];
      world.profiles.splice(0, 1, ...parseProfiles(['small=webp:64:80']));
      await world.upload(await picture(220), PNG);
      await world.upload('no picture');
      return { actions: assets.map(({ storedObjectId }) => `rebuild variants of object ${storedObjectId}`) };
    },
  ],
  [
    'feature-readers',
    async (world) => {
      const track = (n: number) => `<?xml version="1.0"?><gpx>read length ${n}</gpx>`;
      const assets = [await world.upload(track(1), GPX), await world.upload(track(2), GPX)];
      await world.upload('no track');
      Object.assign(world.module.get(InspectionExtensions).readers[0]!, { revision: 2 });
      await world.upload(track(3), GPX);
      return { actions: assets.map(({ storedObjectId }) => `read object ${storedObjectId}`) };
    },
  ],
];

describe('dry runs (real: PostgreSQL, queue, storage emulator, processes)', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start({ features: [tracks], profiles: ['small=webp:80:80'] });
  });
  beforeEach(async () => {
    await emptyWorld(world);
    world.profiles.splice(0, 1, ...parseProfiles(['small=webp:80:80']));
    Object.assign(world.module.get(InspectionExtensions).readers[0]!, { revision: 1 });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  /** All rows, jobs and objects that a task could change. */
  async function state() {
    const { prisma } = world.database;
    return {
      assets: await prisma.mediaAsset.findMany({ orderBy: { assetId: 'asc' } }),
      objects: await prisma.storedObject.findMany({
        orderBy: { id: 'asc' },
        include: { copies: true, variants: true },
      }),
      quotas: await prisma.ownerQuota.findMany({ orderBy: { ownerId: 'asc' } }),
      events: await world.events(),
      jobs: (await world.queue.getJobs()).map(({ id }) => id).sort(),
      buckets: await Promise.all([INCOMING, CONTENT, QUARANTINE].map((bucket) => world.objects(bucket))),
      scanned: [...world.scanner.scanned],
    };
  }

  it.each(TASKS)('change nothing and list what a run then does: %s', async (name, prepare) => {
    const { now = new Date(), actions } = await prepare(world);
    const before = await state();
    const dry = await world.runTask(name, { now, isDryRun: true });
    expect(await state()).toEqual(before);
    const run = await world.runTask(name, { now });
    const listed = (each: typeof run) =>
      each.actions.map(({ action, subject }) => `${action} ${subject}`).sort();
    expect(listed(dry)).toEqual([...actions].sort());
    expect(listed(run)).toEqual(listed(dry));
    expect(dry).toMatchObject({ outcome: 'succeeded', failed: 0, changed: actions.length });
    expect(run).toMatchObject({ outcome: 'succeeded', failed: 0, changed: actions.length });
    // The actions are done.
    expect(await world.runTask(name, { now, isDryRun: true })).toMatchObject({ changed: 0, actions: [] });
  });
});
