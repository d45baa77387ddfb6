import { expect, it } from '@jest/globals';
import { readConfiguration } from './configuration.js';
import { LoggingConfig } from './logging.config.js';

it('accepts only the levels of pino', () => {
  const read = (LOG_LEVEL: string) => readConfiguration({ logging: LoggingConfig }, { LOG_LEVEL }).logging;
  expect([read('').level, read('trace').level]).toEqual(['info', 'trace']);
  expect(() => read('secret')).toThrow(/^Configuration: LOG_LEVEL must be one of [^;]*\.$/);
});
