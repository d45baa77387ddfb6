import { once } from 'node:events';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http, { type ClientRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Storage } from '@google-cloud/storage';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openAgents, openMedia } from './media.js';

/** Closed port: the tests inspect each request before it is sent. */
const CLOSED_PORT = '127.0.0.1:1';

let requests: ClientRequest[] = [];
const record = (message: unknown) => requests.push((message as { request: ClientRequest }).request);
beforeEach(() => {
  requests = [];
  subscribe('http.client.request.created', record);
});
afterEach(() => {
  unsubscribe('http.client.request.created', record);
});

it.each([
  ['https', 'https', 'Bearer secret'],
  ['http', 'http', undefined],
])('sends credentials over TLS only: %s', async (_, protocol, authorization) => {
  const storage = new Storage({ projectId: 'p', apiEndpoint: `${protocol}://${CLOSED_PORT}` });
  storage.authClient.getRequestHeaders = () =>
    Promise.resolve(new Headers({ authorization: 'Bearer secret', 'x-goog-user-project': 'p' }));
  const file = storage.bucket('a').file('b/c d', { generation: '17' });
  await expect(openMedia(storage, file, openAgents())).rejects.toThrow('ECONNREFUSED');
  expect(requests.map((request) => [request.protocol, request.path])).toEqual([
    [`${protocol}:`, '/storage/v1/b/a/o/b%2Fc%20d?alt=media&generation=17'],
  ]);
  expect(requests[0]!.getHeader('authorization')).toBe(authorization);
});

describe('a proxy', () => {
  const storage = new Storage({ projectId: 'p', apiEndpoint: 'https://127.0.0.1:1' });
  storage.authClient.getRequestHeaders = () => Promise.resolve(new Headers());
  const file = storage.bucket('a').file('b');
  let proxy: http.Server;
  let url: string;
  let connects: (string | undefined)[];
  beforeEach(async () => {
    connects = [];
    proxy = http.createServer().on('connect', (request, socket) => {
      connects.push(request.url);
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterEach(() => void proxy.close());

  it('receives the request', async () => {
    await expect(openMedia(storage, file, openAgents({ url }))).rejects.toThrow('403');
    expect(connects).toEqual(['127.0.0.1:1']);
  });

  it('is bypassed for excepted hosts', async () => {
    const agents = openAgents({ url, except: 'elsewhere,127.0.0.1' });
    await expect(openMedia(storage, file, agents)).rejects.toThrow('ECONNREFUSED');
    expect(connects).toEqual([]);
  });
});
