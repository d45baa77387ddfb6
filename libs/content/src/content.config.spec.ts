import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { ContentConfig, ContentStoreConfig } from './content.config.js';

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration(
    { content: ContentConfig, contentStore: ContentStoreConfig },
    { CONTENT_BUCKET: 'content', QUARANTINE_BUCKET: 'quarantine', ...env },
  );

it('shares objects of all owners by default', () => {
  expect(read({}).content.dedupeScope).toBe('global');
  expect(() => read({ DEDUPE_SCOPE: 'secret' })).toThrow(/^Configuration: DEDUPE_SCOPE must be one of/);
});

const inside = (side: number) => ({ width: side, height: side, fit: 'inside' });

it('parses variant profiles', () => {
  expect(read({}).contentStore.profiles).toHaveLength(2);
  const { profiles } = read({ VARIANT_PROFILES: 'Small=webp:320:80 tiny=jpeg:16:60' }).contentStore;
  expect(profiles).toEqual([
    { name: 'small', format: 'webp', ...inside(320), quality: 80 },
    { name: 'tiny', format: 'jpeg', ...inside(16), quality: 60 },
  ]);
});

it('reports invalid profiles together with other variables', () => {
  expect(() => read({ VARIANT_PROFILES: 'small', CONTENT_BUCKET: 'ab' })).toThrow(
    /^Configuration: CONTENT_BUCKET must .*; A profile must have the form name=format:longest side:quality or name=format:WIDTHxHEIGHT:quality:cover, not small\.$/,
  );
});

it('verifies stored objects every 90 days at 20 MiB per second by default', () => {
  expect(read({}).contentStore).toMatchObject({
    verifyDays: 90,
    verifyBytesPerSecond: 20 * 2 ** 20,
    findingDays: 90,
  });
  expect(read({ VERIFY_DAYS: '0' }).contentStore.verifyDays).toBe(0);
  expect(read({ VERIFY_BYTES_PER_SECOND: '5 MiB' }).contentStore.verifyBytesPerSecond).toBe(5 * 2 ** 20);
  expect(() => read({ VERIFY_DAYS: '-1', VERIFY_BYTES_PER_SECOND: '0', FINDING_DAYS: '0' })).toThrow(
    /^Configuration: VERIFY_DAYS must be an integer.*; VERIFY_BYTES_PER_SECOND must not be less than 1; FINDING_DAYS must not be less than 1\.$/,
  );
});

it('keeps unreferenced bytes for a week by default', () => {
  expect(read({}).content.restoreWindowDays).toBe(7);
  expect(read({ RESTORE_WINDOW_DAYS: '0' }).content.restoreWindowDays).toBe(0);
  expect(() => read({ RESTORE_WINDOW_DAYS: '4000' })).toThrow(
    /^Configuration: RESTORE_WINDOW_DAYS must not be/,
  );
});
