import { expect, it } from '@jest/globals';
import { readConfiguration } from '#libs/runtime';
import { QueueConfig } from './queue.config.js';

it('accepts only the URL of a Redis server', () => {
  const read = (REDIS_URL: string) => readConfiguration({ queue: QueueConfig }, { REDIS_URL }).queue;
  expect([read('rediss://host').redisUrl, read('').redisUrl]).toEqual(['rediss://host', undefined]);
  expect(() => read('secret')).toThrow('Configuration: REDIS_URL must be a redis:// URL.');
});
