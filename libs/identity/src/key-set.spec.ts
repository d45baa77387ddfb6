import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SignJWT } from 'jose';
import { configured } from '#libs/runtime';
import { IdentityConfig } from './identity.config.js';
import { TokenVerifier } from './token-verifier.js';

interface Key {
  readonly alg: string;
  readonly kid: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const ec = (kid: string): Key => ({
  alg: 'ES256',
  kid,
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }),
});
const rsa = (kid: string, modulusLength = 2048): Key => ({
  alg: 'RS256',
  kid,
  ...generateKeyPairSync('rsa', { modulusLength }),
});
const jwk = ({ kid, publicKey }: Key) => ({ ...publicKey.export({ format: 'jwk' }), kid });
const setOf = (...keys: Key[]) => JSON.stringify({ keys: keys.map(jwk) });

const sign = ({ alg, privateKey }: Key, kid?: string, expires = '1h') =>
  new SignJWT({})
    .setProtectedHeader({ alg, kid })
    .setSubject('9')
    .setIssuer('tests')
    .setAudience('stowage')
    .setExpirationTime(expires)
    .sign(privateKey);

/** Longer than any test takes. */
const LONG_MS = 600_000;
const VALID = { subject: '9' };
const refused = (reason: string) => ({ kind: 'unauthenticated', reason });
const UNAVAILABLE = { kind: 'unavailable', reason: 'KEYS_UNAVAILABLE' };

describe('TokenVerifier with a key set (real: jose, a local HTTP server as provider)', () => {
  const [a, b, c] = [ec('a'), ec('b'), ec('c')] as const;
  let server: http.Server;
  let answer: http.RequestListener;
  let requests: number;
  let verifier: TokenVerifier;

  const publish = (text: string, status = 200) =>
    (answer = (_, response) => response.writeHead(status, { location: '/elsewhere' }).end(text));
  const urlOfServer = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const verifierOf = (keySet?: IdentityConfig['keySet'], jwksUrl = urlOfServer()) => {
    return new TokenVerifier(
      configured(IdentityConfig, { issuer: 'tests', audience: 'stowage', jwksUrl, keySet }),
    );
  };
  const verify = async (token: string | Promise<string>) => verifier.verify(await token);

  beforeAll(async () => {
    server = http.createServer((request, response) => {
      requests++;
      answer(request, response);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  beforeEach(() => {
    requests = 0;
    publish(setOf(a));
    verifier = verifierOf();
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  it('accepts a new key at once, and the old key while it is published', async () => {
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    publish(setOf(a, b));
    expect(await verify(sign(b, 'b'))).toMatchObject(VALID);
    expect(await verify(sign(a, 'a', '2h'))).toMatchObject(VALID);
    expect(requests).toBe(2);
  });

  it.each(['a', undefined])('reloads the set when its only key changed under the kid %s', async (kid) => {
    expect(await verify(sign(a, kid))).toMatchObject(VALID);
    publish(setOf({ ...b, kid: 'a' }));
    expect(await verify(sign(b, kid))).toMatchObject(VALID);
    await expect(verify(sign(a, kid, '2h'))).rejects.toMatchObject(refused('TOKEN_INVALID'));
  });

  it('finds the key of a token without a kid among keys of other types and uses', async () => {
    const [weak, one, two] = [rsa('weak', 1024), rsa('one'), rsa('two')];
    const other = { ...jwk(rsa('encryption')), use: 'enc' };
    publish(JSON.stringify({ keys: [other, jwk(a), ...[weak, one, b, two].map(jwk)] }));
    for (const key of [a, b, one, two]) expect(await verify(sign(key))).toMatchObject(VALID);
    expect(requests).toBe(1);
    await expect(verify(sign(two, undefined, '-1h'))).rejects.toMatchObject(refused('TOKEN_EXPIRED'));
    await expect(verify(sign(c))).rejects.toMatchObject(refused('TOKEN_INVALID'));
  });

  it('rejects HMAC tokens, also with a public key as the secret', async () => {
    const { publicKey } = a;
    const secrets = [Buffer.alloc(32), Buffer.from(publicKey.export({ type: 'spki', format: 'pem' }))];
    for (const secret of secrets) {
      const token = new SignJWT({})
        .setProtectedHeader({ alg: 'HS256', kid: 'a' })
        .setSubject('9')
        .sign(secret);
      await expect(verify(token)).rejects.toMatchObject(refused('TOKEN_INVALID'));
    }
  });

  it('reloads the set once for many tokens with unknown keys, and again after the cooldown', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    for (let tokens = 0; tokens < 20; tokens++)
      await expect(verify(sign(b, `made up ${tokens}`))).rejects.toMatchObject(refused('TOKEN_INVALID'));
    expect(requests).toBe(2);

    verifier = verifierOf({ cooldownMs: 0 });
    requests = 0;
    for (const key of [b, c]) {
      await expect(verify(sign(key, key.kid))).rejects.toMatchObject(refused('TOKEN_INVALID'));
      publish(setOf(a, key));
      expect(await verify(sign(key, key.kid))).toMatchObject(VALID);
    }
    expect(requests).toBe(5);
  });

  it('answers unavailable for unknown keys while the provider fails, without a request for each token', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    publish('', 503);
    for (let tokens = 0; tokens < 5; tokens++)
      await expect(verify(sign(b, 'b', `${tokens + 1}h`))).rejects.toMatchObject(UNAVAILABLE);
    expect(await verify(sign(a, 'a', '2h'))).toMatchObject(VALID);
    expect(requests).toBe(2);
  });

  const badAnswers: Record<string, [text: string, status?: number]> = {
    'an object that is not a key set': ['{}'],
    null: ['null'],
    'a set with invalid keys': ['{ "keys": ["a"] }'],
    'an HTML page': ['<!doctype html>'],
    'an HTTP error': [setOf(a), 500],
    'a redirect': ['', 302],
    'a broken key': [JSON.stringify({ keys: [{ ...jwk(a), x: '!' }] })],
    'a private key': [JSON.stringify({ keys: [{ ...a.privateKey.export({ format: 'jwk' }), kid: 'a' }] })],
  };
  it.each(Object.entries(badAnswers))(
    'answers unavailable, not unauthenticated, if the provider returns %s',
    async (_, [text, status]) => {
      publish(text, status);
      await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
    },
  );

  it('requests a failing provider once within the cooldown, also without any cached keys', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    publish('', 503);
    for (let tokens = 0; tokens < 5; tokens++)
      await expect(verify(sign(a, 'a', `${tokens + 1}h`))).rejects.toMatchObject(UNAVAILABLE);
    expect(requests).toBe(1);
  });

  it('reloads the keys every ten minutes, and uses cached keys for up to an hour if it cannot', async () => {
    let now = 0;
    const began = Date.now();
    const clocks = [
      jest.spyOn(performance, 'now').mockImplementation(() => now),
      jest.spyOn(Date, 'now').mockImplementation(() => began + now),
    ];
    const at = (minutes: number) => {
      now = minutes * 60_000;
      return verify(sign(a, 'a', `${minutes + 1}h`));
    };
    try {
      for (const minutes of [0, 9]) expect(await at(minutes)).toMatchObject(VALID);
      expect(requests).toBe(1);
      expect(await at(10)).toMatchObject(VALID);
      expect(requests).toBe(2);
      publish('', 503);
      for (const minutes of [20, 69]) expect(await at(minutes)).toMatchObject(VALID);
      expect(requests).toBe(4);
      await expect(at(70)).rejects.toMatchObject(UNAVAILABLE);
      publish(setOf(b));
      now = 71 * 60_000;
      expect(await verify(sign(b, 'b'))).toMatchObject(VALID);
      await expect(at(72)).rejects.toMatchObject(refused('TOKEN_INVALID'));
    } finally {
      for (const clock of clocks) clock.mockRestore();
    }
  });

  it('recovers when its provider recovers', async () => {
    verifier = verifierOf({ cooldownMs: 0 });
    publish('{}');
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
    publish(setOf(a));
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
  });

  it('answers unavailable if the matching keys are too short, for one key or two', async () => {
    const weak = [rsa('0', 1024), rsa('1', 1024)] as const;
    const token = async () => sign({ ...rsa('0') });
    publish(setOf(weak[0]));
    await expect(verify(token())).rejects.toMatchObject(UNAVAILABLE);
    verifier = verifierOf();
    publish(setOf(...weak));
    await expect(verify(token())).rejects.toMatchObject(UNAVAILABLE);
  });

  const stalledAnswers: Record<string, http.RequestListener> = {
    'does not answer': () => undefined,
    'does not end its answer': (_, response) => response.write('{'),
  };
  it.each(Object.entries(stalledAnswers))('stops waiting for a provider that %s', async (_, stalled) => {
    answer = stalled;
    verifier = verifierOf({ timeoutMs: 100 });
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
  });

  it('answers unavailable if the provider refuses connections', async () => {
    verifier = verifierOf({}, 'http://127.0.0.1:1/');
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
  });
});
