import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readWorkerConfig } from './config.js';

const CLAMD = { CLAMD_ADDRESS: 'clamav:3310' };

/** Required settings of every worker. */
const REQUIRED = {
  DATABASE_URL: 'postgresql://localhost/stowage',
  GOOGLE_CLOUD_PROJECT: 'project',
  INCOMING_BUCKET: 'incoming',
  CONTENT_BUCKET: 'content',
  QUARANTINE_BUCKET: 'quarantine',
  PUBSUB_SUBSCRIPTION: 'incoming',
  UPLOAD_SESSION_KEYS: '0f'.repeat(32),
};

describe('readWorkerConfig', () => {
  it('spools files in a folder for each user, which other users cannot access', () => {
    expect(readWorkerConfig(REQUIRED).inspection.spoolFolder).toBe(
      path.join(tmpdir(), `stowage-spool-${userInfo().uid}`),
    );
  });

  it('resolves SPOOL_DIR, since inspection processes have another working directory', () => {
    const { spoolFolder } = readWorkerConfig({ ...REQUIRED, SPOOL_DIR: 'spool' }).inspection;
    expect(spoolFolder).toBe(path.resolve('spool'));
  });

  it.each(['2026-11-28', 'own.hdb:7', ''])('accepts SCANNER_LABEL=%j', (SCANNER_LABEL) => {
    expect(readWorkerConfig({ ...REQUIRED, SCANNER_LABEL }).scanner.suffix ?? '').toBe(SCANNER_LABEL);
  });

  it.each(['x'.repeat(41), 'two words', 'a/b'])('rejects SCANNER_LABEL=%j', (SCANNER_LABEL) => {
    expect(() => readWorkerConfig({ ...REQUIRED, SCANNER_LABEL })).toThrow('SCANNER_LABEL');
  });

  it.each<[NodeJS.ProcessEnv, boolean]>([
    [{ NODE_ENV: 'production' }, true],
    [{ NODE_ENV: 'production', SCANNER_REQUIRED: '' }, true],
    [{ NODE_ENV: 'production', SCANNER_REQUIRED: 'false' }, false],
    [{ NODE_ENV: 'production', SCANNER_REQUIRED: 'true' }, true],
    [{ NODE_ENV: 'development' }, false],
    [{}, false],
    [{ SCANNER_REQUIRED: 'false' }, false],
    [{ SCANNER_REQUIRED: 'true' }, true],
  ])('with %j, requires a virus scanner: %s', (env, isRequired) => {
    const read = () => readWorkerConfig({ ...REQUIRED, ...env });
    if (isRequired) expect(read).toThrow('set CLAMD_ADDRESS, or SCANNER_REQUIRED=false');
    else expect(read().scanner.isRequired).toBe(false);
    const { address, isRequired: required } = readWorkerConfig({ ...REQUIRED, ...env, ...CLAMD }).scanner;
    expect([address, required]).toEqual([CLAMD.CLAMD_ADDRESS, isRequired]);
  });
});
