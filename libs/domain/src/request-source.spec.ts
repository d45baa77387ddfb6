import { describe, expect, it } from '@jest/globals';
import { loopbackHosts, type RequestSources, sourceCheck } from './request-source.js';

const HOSTS = [...loopbackHosts(3000), 'storage:3000', 'api.example', 'port.example:80'];
const APP = 'https://app.example';

const PROGRAMS: RequestSources = { hosts: HOSTS };
const API: RequestSources = { hosts: HOSTS, origins: [APP], hasPages: true };
const ANY_PAGE: RequestSources = { hosts: HOSTS, origins: ['*'] };

const NAVIGATION = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
const IMAGE = { 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' };

type Headers = Record<string, string | undefined>;
const reasonOf = (sources: RequestSources, headers: Headers, method = 'GET') =>
  sourceCheck(sources)({ method, headers: { host: 'localhost:3000', ...headers } })?.reason ?? null;

describe('sourceCheck', () => {
  it.each([
    '127.0.0.1:3000',
    'localhost:3000',
    'LocalHost:3000',
    '[::1]:3000',
    'storage:3000',
    'api.example',
    'api.example:443',
    'port.example',
  ])('serves the Host %s', (host) => {
    expect(reasonOf(PROGRAMS, { host })).toBeNull();
  });

  it.each([
    undefined,
    '',
    'evil.example',
    'evil.example:3000',
    'localhost',
    'localhost:3001',
    'localhost.:3000',
    'localhost:3000.evil.example',
    'localhost:3000@evil.example',
    '127.0.0.1:3000, evil.example',
    '0.0.0.0:3000',
    'api.example:8443',
  ])('rejects the Host %j', (host) => {
    for (const sources of [PROGRAMS, API, ANY_PAGE])
      expect(reasonOf(sources, { host })).toBe('HOST_NOT_ALLOWED');
  });

  type Verdict = 'served' | 'refused';
  /** Headers, and the verdicts of a listener for programs, of the API, and of a listener that allows every origin. */
  const pages: [source: string, headers: Headers, programs: Verdict, api: Verdict, any: Verdict][] = [
    ['a program', {}, 'served', 'served', 'served'],
    ['a typed address', { 'sec-fetch-site': 'none' }, 'served', 'served', 'served'],
    ['a listed page', { origin: APP, 'sec-fetch-site': 'cross-site' }, 'refused', 'served', 'served'],
    ['a listed page in upper case', { origin: 'HTTPS://APP.example' }, 'refused', 'served', 'served'],
    ['a foreign page', { origin: 'https://evil.example' }, 'refused', 'refused', 'served'],
    ['a listed host with another scheme', { origin: 'http://app.example' }, 'refused', 'refused', 'served'],
    ['a listed host with a port', { origin: `${APP}:8443` }, 'refused', 'refused', 'served'],
    ['two origins', { origin: `${APP}, https://evil.example` }, 'refused', 'refused', 'served'],
    ['an opaque origin', { origin: 'null' }, 'refused', 'refused', 'served'],
    ['an empty origin', { origin: '' }, 'refused', 'refused', 'served'],
    ['an extension', { origin: 'chrome-extension://abc' }, 'refused', 'refused', 'served'],
    ['a page of the server', { origin: 'http://localhost:3000' }, 'refused', 'served', 'served'],
    ['a page of the server behind TLS', { origin: 'https://localhost:3000' }, 'refused', 'served', 'served'],
    [
      'a page of the server with Sec-Fetch-Site',
      { origin: 'http://localhost:3000', 'sec-fetch-site': 'same-origin' },
      'refused',
      'served',
      'served',
    ],
    [
      'the origin of the server after a redirect',
      { origin: 'http://localhost:3000', 'sec-fetch-site': 'cross-site' },
      'refused',
      'refused',
      'served',
    ],
    ['another port of this machine', { origin: 'http://localhost:3005' }, 'refused', 'refused', 'served'],
    ['another name of this machine', { origin: 'http://127.0.0.1:3000' }, 'refused', 'refused', 'served'],
    ['a GET from a page of the server', { 'sec-fetch-site': 'same-origin' }, 'refused', 'served', 'refused'],
    ['an embedded image', { 'sec-fetch-site': 'cross-site', ...IMAGE }, 'refused', 'refused', 'refused'],
    [
      'an embedded image from the same site',
      { 'sec-fetch-site': 'same-site', ...IMAGE },
      'refused',
      'refused',
      'refused',
    ],
    ['an unknown Sec-Fetch-Site value', { 'sec-fetch-site': 'any' }, 'refused', 'refused', 'refused'],
    ['a link', { 'sec-fetch-site': 'cross-site', ...NAVIGATION }, 'refused', 'served', 'refused'],
    [
      'a frame',
      { 'sec-fetch-site': 'cross-site', ...NAVIGATION, 'sec-fetch-dest': 'iframe' },
      'refused',
      'refused',
      'refused',
    ],
  ];
  it.each(pages)(
    'decides on %s (%j): %s for programs, %s by the API, %s if any origin is allowed',
    (_, headers, ...expected) => {
      const verdicts = [PROGRAMS, API, ANY_PAGE].map((sources) =>
        reasonOf(sources, headers) === null ? 'served' : 'refused',
      );
      expect(verdicts).toEqual(expected);
      for (const sources of [PROGRAMS, API, ANY_PAGE])
        expect([null, 'ORIGIN_NOT_ALLOWED']).toContain(reasonOf(sources, headers));
    },
  );

  it('does not treat a cross-site form post as a link', () => {
    expect(reasonOf(API, { 'sec-fetch-site': 'cross-site', ...NAVIGATION }, 'POST')).toBe(
      'ORIGIN_NOT_ALLOWED',
    );
  });
});
