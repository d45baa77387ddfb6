import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Storage } from '@google-cloud/storage';
import { expect, it } from '@jest/globals';
import { openMedia } from './media.js';

it('asks the proxy that the environment names, whatever it names it for', async () => {
  const proxy = http.createServer().listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const asked = once(proxy, 'connect') as Promise<[http.IncomingMessage, NodeJS.WritableStream]>;
  process.env.HTTP_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  try {
    const storage = new Storage({ projectId: 'p', apiEndpoint: 'https://storage.invalid' });
    storage.authClient.getRequestHeaders = () => Promise.resolve(new Headers());
    const media = openMedia(storage, storage.bucket('a').file('b')).catch(({ message }: Error) => message);
    const [request, socket] = await asked;
    expect(request.url).toBe('storage.invalid:443');
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    expect(await media).toEqual(expect.any(String));
  } finally {
    delete process.env.HTTP_PROXY;
    proxy.close();
  }
});
