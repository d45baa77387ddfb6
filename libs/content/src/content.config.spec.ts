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
