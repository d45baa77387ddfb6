import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readSecrets, StartFailure } from './data-folder.js';

describe('readSecrets', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stowage-data-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const file = () => path.join(folder, 'secrets.json');
  const KEY = /^[0-9a-f]{64}$/;

  it('generates a random key for upload sessions once', async () => {
    const secrets = await readSecrets(folder);
    expect(secrets.uploadSessionKey).toMatch(KEY);
    expect(await readSecrets(folder)).toEqual(secrets);
    expect(JSON.parse(await readFile(file(), 'utf8'))).toEqual(secrets);
  });

  it('derives a stable key for secrets of an older version, without changing the file', async () => {
    const { jwtSecret, hmacAccessId, hmacSecret, postgresPassword } = await readSecrets(folder);
    const older = { jwtSecret, hmacAccessId, hmacSecret, postgresPassword };
    const before = JSON.stringify(older);
    await writeFile(file(), before);
    const [one, other] = await Promise.all([readSecrets(folder), readSecrets(folder)]);
    expect(one).toEqual({ ...older, uploadSessionKey: expect.stringMatching(KEY) as unknown });
    expect(other).toEqual(one);
    expect(await readFile(file(), 'utf8')).toBe(before);
    await writeFile(file(), JSON.stringify({ ...older, hmacSecret: 'another secret that is long enough' }));
    expect((await readSecrets(folder)).uploadSessionKey).not.toBe(one.uploadSessionKey);
  });

  it.each(['', 'null', '7', '[]', '{}', '{"uploadSessionKey": 1}', '{"jwtSecret": 1}'])(
    'rejects %j as damaged',
    async (text) => {
      await writeFile(file(), text);
      await expect(readSecrets(folder)).rejects.toThrow(StartFailure);
    },
  );
});
