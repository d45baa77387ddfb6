import { once } from 'node:events';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startPubSubEmulator } from '../../../libs/gcp-emulator/src/pubsub/index.js';
import { PubSubHarness } from '../../../libs/gcp-emulator/src/pubsub/testing/harness.js';

/** The call reached the service, which rejects the message because it names no project. */
const INVALID_ARGUMENT = '3';
const PERMISSION_DENIED = '7';
/** The gRPC frame of an empty message: no compression, length zero. */
const EMPTY = Buffer.alloc(5);

/** Real: the emulator with its file, and HTTP/2 as a program or a browser would send it. */
describe('admission of requests to the Pub/Sub emulator', () => {
  let harness: PubSubHarness;
  beforeEach(async () => {
    harness = await PubSubHarness.start();
  });
  afterEach(async () => {
    await harness.close();
    expect(harness.errors).toEqual([]);
  });

  /** The gRPC status of a call. */
  async function statusOf(port: number, headers: http2.OutgoingHttpHeaders, method = 'Publisher/ListTopics') {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    try {
      const stream = session.request({
        ':method': 'POST',
        ':path': `/google.pubsub.v1.${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      });
      let status: unknown;
      for (const event of ['response', 'trailers'])
        stream.on(
          event,
          (received: http2.IncomingHttpHeaders) => (status = received['grpc-status'] ?? status),
        );
      stream.end(EMPTY);
      stream.resume();
      await once(stream, 'close');
      return status;
    } finally {
      session.destroy();
    }
  }

  it.each<[string, http2.OutgoingHttpHeaders]>([
    ['another host name', { ':authority': 'evil.example' }],
    ['another host name with the port', { ':authority': 'evil.example:3002' }],
    ['an origin', { origin: 'https://evil.example' }],
    ['an opaque origin', { origin: 'null' }],
    ['a page of the same site', { 'sec-fetch-site': 'same-site' }],
    ['a page of another site', { 'sec-fetch-site': 'cross-site' }],
  ])('rejects every method for %s', async (_, headers) => {
    const { port } = harness.emulator;
    for (const method of [
      'Publisher/ListTopics',
      'Publisher/CreateTopic',
      'Publisher/Publish',
      'Subscriber/Pull',
      'Subscriber/StreamingPull',
    ]) {
      expect([method, await statusOf(port, headers, method)]).toEqual([method, PERMISSION_DENIED]);
    }
  });

  it('serves requests under loopback names and allowed host names', async () => {
    const { port } = harness.emulator;
    for (const name of ['127.0.0.1', 'localhost', '[::1]'])
      expect(await statusOf(port, { ':authority': `${name}:${port}` })).toBe(INVALID_ARGUMENT);
    expect(await statusOf(port, { ':authority': 'pubsub:3002' })).toBe(PERMISSION_DENIED);
    await harness.emulator.close();
    const allowedHosts = ['pubsub:3002'];
    harness.emulator = await startPubSubEmulator({ port, dataDir: harness.dataDir, allowedHosts });
    expect(await statusOf(port, { ':authority': 'pubsub:3002' })).toBe(INVALID_ARGUMENT);
  });

  it('serves no requests over HTTP/1, the only protocol of browsers without TLS', async () => {
    const { port } = harness.emulator;
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (part: string) => (answer += part));
    socket.on('error', () => undefined);
    socket.write(`POST /google.pubsub.v1.Publisher/Publish HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    await once(socket, 'close');
    expect(answer).not.toMatch(/HTTP\/1\.1 2|grpc-status/);
  });
});
