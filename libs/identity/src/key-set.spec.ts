import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SignJWT } from 'jose';
import type { KeySetOptions } from './key-set.js';
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

/** No test takes so long. */
const LONG_MS = 600_000;
const VALID = { subject: '9' };
const refused = (reason: string) => ({ kind: 'unauthenticated', reason });
const UNAVAILABLE = { kind: 'unavailable', reason: 'KEYS_UNAVAILABLE' };

describe('tokens of a key set, in one process (real: jose, an HTTP server for a provider)', () => {
  const [a, b, c] = [ec('a'), ec('b'), ec('c')] as const;
  let server: http.Server;
  let answer: http.RequestListener;
  let asked: number;
  let verifier: TokenVerifier;

  const publish = (text: string, status = 200) =>
    (answer = (_, response) => response.writeHead(status, { location: '/elsewhere' }).end(text));
  const verifierOf = (options: Partial<KeySetOptions> = {}) => {
    const { port } = server.address() as AddressInfo;
    const key = { jwksUrl: `http://127.0.0.1:${port}/`, ...options };
    return new TokenVerifier({ issuer: 'tests', audience: 'stowage', key });
  };
  const verify = async (token: string | Promise<string>) => verifier.verify(await token);

  beforeAll(async () => {
    server = http.createServer((request, response) => {
      asked++;
      answer(request, response);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  beforeEach(() => {
    asked = 0;
    publish(setOf(a));
    verifier = verifierOf();
  });
  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  it('follows a rotation at once, and takes the old key while it is published', async () => {
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    publish(setOf(a, b));
    expect(await verify(sign(b, 'b'))).toMatchObject(VALID);
    expect(await verify(sign(a, 'a', '2h'))).toMatchObject(VALID);
    expect(asked).toBe(2);
  });

  it.each(['a', undefined])('reads the set again when its only key changed under the kid %s', async (kid) => {
    expect(await verify(sign(a, kid))).toMatchObject(VALID);
    publish(setOf({ ...b, kid: 'a' }));
    expect(await verify(sign(b, kid))).toMatchObject(VALID);
    await expect(verify(sign(a, kid, '2h'))).rejects.toMatchObject(refused('TOKEN_INVALID'));
  });

  it('finds the key of a token that names none, past keys of other kinds and uses', async () => {
    const [weak, one, two] = [rsa('weak', 1024), rsa('one'), rsa('two')];
    const other = { ...jwk(rsa('encryption')), use: 'enc' };
    publish(JSON.stringify({ keys: [other, jwk(a), ...[weak, one, b, two].map(jwk)] }));
    for (const key of [a, b, one, two]) expect(await verify(sign(key))).toMatchObject(VALID);
    expect(asked).toBe(1);
    await expect(verify(sign(two, undefined, '-1h'))).rejects.toMatchObject(refused('TOKEN_EXPIRED'));
    await expect(verify(sign(c))).rejects.toMatchObject(refused('TOKEN_INVALID'));
  });

  it('takes no HMAC, also not one with a public key for its secret', async () => {
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

  it('asks a provider once, however many keys tokens make up, and again after a while', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    for (let tokens = 0; tokens < 20; tokens++)
      await expect(verify(sign(b, `made up ${tokens}`))).rejects.toMatchObject(refused('TOKEN_INVALID'));
    expect(asked).toBe(2);

    verifier = verifierOf({ cooldownMs: 0 });
    asked = 0;
    for (const key of [b, c]) {
      await expect(verify(sign(key, key.kid))).rejects.toMatchObject(refused('TOKEN_INVALID'));
      publish(setOf(a, key));
      expect(await verify(sign(key, key.kid))).toMatchObject(VALID);
    }
    expect(asked).toBe(5);
  });

  it('refuses nobody whose key it cannot look for, nor asks a provider in trouble for each', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
    publish('', 503);
    for (let tokens = 0; tokens < 5; tokens++)
      await expect(verify(sign(b, 'b', `${tokens + 1}h`))).rejects.toMatchObject(UNAVAILABLE);
    expect(await verify(sign(a, 'a', '2h'))).toMatchObject(VALID);
    expect(asked).toBe(2);
  });

  const troubles: Record<string, [text: string, status?: number]> = {
    'an object that is no set': ['{}'],
    'no object': ['null'],
    'a set of no keys': ['{ "keys": ["a"] }'],
    'a page': ['<!doctype html>'],
    'an error': [setOf(a), 500],
    'another address': ['', 302],
    'a broken key': [JSON.stringify({ keys: [{ ...jwk(a), x: '!' }] })],
    'a private key': [JSON.stringify({ keys: [{ ...a.privateKey.export({ format: 'jwk' }), kid: 'a' }] })],
  };
  it.each(Object.entries(troubles))('has trouble, and not the caller, with %s', async (_, [text, status]) => {
    publish(text, status);
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
  });

  it('asks a provider in trouble once in a while, also while it has no keys at all', async () => {
    verifier = verifierOf({ cooldownMs: LONG_MS });
    publish('', 503);
    for (let tokens = 0; tokens < 5; tokens++)
      await expect(verify(sign(a, 'a', `${tokens + 1}h`))).rejects.toMatchObject(UNAVAILABLE);
    expect(asked).toBe(1);
  });

  it('reads the keys again every ten minutes, and uses them for an hour where it cannot', async () => {
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
      expect(asked).toBe(1);
      expect(await at(10)).toMatchObject(VALID);
      expect(asked).toBe(2);
      publish('', 503);
      for (const minutes of [20, 69]) expect(await at(minutes)).toMatchObject(VALID);
      expect(asked).toBe(4);
      await expect(at(70)).rejects.toMatchObject(UNAVAILABLE);
      publish(setOf(b));
      now = 71 * 60_000;
      expect(await verify(sign(b, 'b'))).toMatchObject(VALID);
      await expect(at(72)).rejects.toMatchObject(refused('TOKEN_INVALID'));
    } finally {
      for (const clock of clocks) clock.mockRestore();
    }
  });

  it('is well again when its provider is', async () => {
    verifier = verifierOf({ cooldownMs: 0 });
    publish('{}');
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
    publish(setOf(a));
    expect(await verify(sign(a, 'a'))).toMatchObject(VALID);
  });

  it('has trouble with keys that are too short, be there one or two', async () => {
    const weak = [rsa('0', 1024), rsa('1', 1024)] as const;
    const token = async () => sign({ ...rsa('0') });
    publish(setOf(weak[0]));
    await expect(verify(token())).rejects.toMatchObject(UNAVAILABLE);
    verifier = verifierOf();
    publish(setOf(...weak));
    await expect(verify(token())).rejects.toMatchObject(UNAVAILABLE);
  });

  const silences: Record<string, http.RequestListener> = {
    'does not answer': () => undefined,
    'does not end its answer': (_, response) => response.write('{'),
  };
  it.each(Object.entries(silences))('gives up a provider that %s', async (_, silence) => {
    answer = silence;
    verifier = verifierOf({ timeoutMs: 100 });
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
  });

  it('has trouble with a provider that is not there', async () => {
    verifier = verifierOf({ jwksUrl: 'http://127.0.0.1:1/' });
    await expect(verify(sign(a, 'a'))).rejects.toMatchObject(UNAVAILABLE);
  });
});
