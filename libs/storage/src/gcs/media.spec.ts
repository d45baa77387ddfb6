import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';
import { Storage } from '@google-cloud/storage';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { openMedia } from './media.js';

/** Nobody listens there: what would be sent is looked at before. */
const NOWHERE = '127.0.0.1:1';

let asked: ClientRequest[] = [];
const note = (message: unknown) => asked.push((message as { request: ClientRequest }).request);
beforeEach(() => {
  asked = [];
  subscribe('http.client.request.created', note);
});
afterEach(() => {
  unsubscribe('http.client.request.created', note);
});

it.each([
  ['over TLS', 'https', 'Bearer secret'],
  ['to nobody else', 'http', undefined],
])('sends the credentials %s', async (_, protocol, authorization) => {
  const storage = new Storage({ projectId: 'p', apiEndpoint: `${protocol}://${NOWHERE}` });
  storage.authClient.getRequestHeaders = () =>
    Promise.resolve(new Headers({ authorization: 'Bearer secret', 'x-goog-user-project': 'p' }));
  const file = storage.bucket('a').file('b/c d', { generation: '17' });
  await expect(openMedia(storage, file)).rejects.toThrow('ECONNREFUSED');
  expect(asked.map((request) => [request.protocol, request.path])).toEqual([
    [`${protocol}:`, '/storage/v1/b/a/o/b%2Fc%20d?alt=media&generation=17'],
  ]);
  expect(asked[0]!.getHeader('authorization')).toBe(authorization);
});
