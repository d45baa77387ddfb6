import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Bucket } from '@google-cloud/storage';
import { type AnyClock, ask, clockOverHttp } from './gcs-admin.client.js';
import { Harness } from './gcs.harness.js';

const BASE = new Date('2030-01-01T00:00:00.000Z');
const DAY_MS = 24 * 60 * 60 * 1000;

// Real: the emulator, the official client. The time that the clock starts from stands still.
let harness: Harness;
let bucket: Bucket;

beforeEach(async () => {
  harness = await Harness.start({ admin: true, now: () => BASE });
  [bucket] = await harness.storage.createBucket('timed');
});
afterEach(() => harness.stop());

const save = async (name: string) => {
  await bucket.file(name).save(name, { resumable: false });
  const [{ timeCreated, generation }] = await bucket.file(name).getMetadata();
  return { createdAt: new Date(String(timeCreated)), generation: Number(generation) };
};
const after = (ms: number) => new Date(BASE.getTime() + ms);

describe.each<[string, () => AnyClock]>([
  ['in the process', () => harness.emulator.clock],
  ['over HTTP', () => clockOverHttp(harness.emulator.url)],
])('the clock %s', (_, clock) => {
  it('gives new objects their creation time, however it is moved', async () => {
    expect(await clock().now()).toEqual(BASE);
    expect((await save('a')).createdAt).toEqual(BASE);
    await clock().advance(5 * DAY_MS);
    expect(await clock().now()).toEqual(after(5 * DAY_MS));
    expect((await save('b')).createdAt).toEqual(after(5 * DAY_MS));
    await clock().advance(-DAY_MS);
    expect((await save('c')).createdAt).toEqual(after(4 * DAY_MS));
    const past = new Date('2020-02-29T12:00:00.000Z');
    await clock().set(past);
    expect(await clock().now()).toEqual(past);
    expect((await save('d')).createdAt).toEqual(past);
    await clock().reset();
    expect(await clock().now()).toEqual(BASE);
    expect((await save('e')).createdAt).toEqual(BASE);
    expect((await bucket.file('d').getMetadata())[0].timeCreated).toBe(past.toISOString());
  });

  it('lets generations increase when it goes back', async () => {
    const first = await save('a');
    await clock().advance(DAY_MS);
    const second = await save('a');
    expect(second.generation).toBe(first.generation + DAY_MS * 1000);
    await clock().reset();
    const third = await save('a');
    await clock().set(new Date('2001-01-01T00:00:00Z'));
    const fourth = await save('b');
    expect([third.generation, fourth.generation]).toEqual([second.generation + 1, second.generation + 2]);
  });

  it('lets signed URLs and upload sessions expire', async () => {
    await clock().set(new Date());
    await save('a');
    const url = await harness.sign(bucket.file('a'));
    const [session] = await bucket.file('b').createResumableUpload();
    expect((await fetch(url)).status).toBe(200);
    await clock().advance(11 * 60_000);
    expect(await (await fetch(url)).text()).toContain('<Code>ExpiredToken<');
    await clock().advance(7 * DAY_MS);
    expect((await fetch(session, { method: 'PUT', body: 'x' })).status).toBe(410);
  });

  it.each([
    ['a time before 1970', (moved: AnyClock) => moved.set(new Date('1969-12-31T23:59:59Z'))],
    ['a time after 2200', (moved: AnyClock) => moved.set(new Date('2200-01-01T00:00:01Z'))],
    ['an invalid time', (moved: AnyClock) => moved.set(new Date('never'))],
    ['an advance beyond 2200', (moved: AnyClock) => moved.advance(200 * 365 * DAY_MS)],
  ])('rejects %s and stays as it is', async (__, move) => {
    await clock().advance(DAY_MS);
    await expect((async () => void (await move(clock())))()).rejects.toMatchObject({ status: 400 });
    expect(await clock().now()).toEqual(after(DAY_MS));
  });
});

describe('a time that was set', () => {
  it('runs on', async () => {
    let base = BASE;
    await harness.stop();
    harness = await Harness.start({ now: () => base });
    const { clock } = harness.emulator;
    clock.set(after(DAY_MS));
    base = after(500);
    expect(clock.now()).toEqual(after(DAY_MS + 500));
    clock.reset();
    expect(clock.now()).toEqual(base);
  });
});

describe('the admin API', () => {
  it.each([
    ['neither a time nor an advance', {}],
    ['both', { now: BASE, advanceMs: 1 }],
    ['a fraction of a millisecond', { advanceMs: 0.5 }],
    ['a time that is no text', { now: 5 }],
    ['an unknown field', { advance: 5 }],
  ])('rejects a move of the clock by %s', async (_, body) => {
    await expect(ask(harness.emulator.url, 'POST', 'clock', body)).rejects.toMatchObject({ status: 400 });
    expect(harness.emulator.clock.now()).toEqual(BASE);
  });

  it('answers a move of the clock with the time', async () => {
    const { url } = harness.emulator;
    const now = after(DAY_MS).toISOString();
    expect(await ask(url, 'POST', 'clock', { advanceMs: DAY_MS })).toEqual({ now });
    expect(await ask(url, 'POST', 'clock', { now: BASE })).toEqual({ now: BASE.toISOString() });
  });
});
