import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Module, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { invalid, StowageError, unavailable } from '#libs/domain';
import { ContributionsModule } from '#libs/runtime';
import { UploadPolicies, UploadPolicy, type UploadPolicyHandler } from './upload-policies.js';
import { parseUploadRequest } from './upload-request.js';

const ACTOR = { ownerId: 42n, groups: [], isAdmin: false };
const REQUEST = parseUploadRequest(
  { filename: 'a.txt', mimeType: 'text/plain', sizeBytes: 1, checksumSha256: 'ab'.repeat(32) },
  100,
);

/** A policy with this name and check. */
function policyOf(name: string, check: UploadPolicyHandler['check'] = () => undefined): Type {
  @UploadPolicy(name)
  class Policy implements UploadPolicyHandler {
    check = check;
  }
  return Policy;
}

async function policiesOf(...providers: Type[]): Promise<UploadPolicies> {
  @Module({
    imports: [ContributionsModule, LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] })],
    providers: [UploadPolicies, ...providers],
  })
  class PoliciesModule {}
  const module = await Test.createTestingModule({ imports: [PoliciesModule] }).compile();
  await module.init();
  return module.get(UploadPolicies);
}

describe('UploadPolicies', () => {
  afterEach(() => void jest.useRealTimers());

  it('asks the policies in order until one refuses', async () => {
    const asked: string[] = [];
    const policies = await policiesOf(
      policyOf('one', () => void asked.push('one')),
      policyOf('two.sync', () => {
        throw invalid('TWO_REFUSES', 'Refused.');
      }),
      policyOf('three', () => void asked.push('three')),
    );
    expect(await policies.check(ACTOR, REQUEST)).toMatchObject({ kind: 'invalid', reason: 'TWO_REFUSES' });
    expect(asked).toEqual(['one']);
  });

  it('accepts if no policy refuses', async () => {
    const policies = await policiesOf(
      policyOf('sync'),
      policyOf('async', () => Promise.resolve()),
    );
    expect(await policies.check(ACTOR, REQUEST)).toBeNull();
    expect(policies.hasWriters).toBe(false);
  });

  it.each([
    ['a StowageError', unavailable('ALBUMS_DOWN', 'Down.'), 'ALBUMS_DOWN', 'Down.'],
    ['a bug', new TypeError('secret'), 'UPLOAD_POLICY_FAILED', 'Something went wrong on our side.'],
    [
      'an internal StowageError',
      new StowageError('internal', 'ALBUMS_BUG', 'secret'),
      'UPLOAD_POLICY_FAILED',
      'Something went wrong on our side.',
    ],
  ])('refuses with the reason of %s', async (_, error, reason, message) => {
    const policies = await policiesOf(policyOf('albums.failing', () => Promise.reject(error)));
    expect(await policies.check(ACTOR, REQUEST)).toMatchObject({ reason, message });
  });

  it('refuses if a policy does not answer in time', async () => {
    const policies = await policiesOf(policyOf('albums.hanging', () => new Promise(() => undefined)));
    jest.useFakeTimers();
    const refusal = policies.check(ACTOR, REQUEST);
    await jest.runAllTimersAsync();
    expect(await refusal).toMatchObject({ kind: 'unavailable', reason: 'UPLOAD_POLICY_TIMEOUT' });
  });

  it.each(['', 'Albums', 'albums.', 'albums images', `a${'b'.repeat(64)}`])(
    'fails the start for the name %j',
    async (name) => {
      await expect(policiesOf(policyOf(name))).rejects.toThrow('The upload policy Policy needs a name');
    },
  );

  it('fails the start for two policies of one name', async () => {
    await expect(policiesOf(policyOf('albums.same'), policyOf('albums.same'))).rejects.toThrow(
      'Two upload policies are named albums.same: Policy and Policy.',
    );
  });
});
