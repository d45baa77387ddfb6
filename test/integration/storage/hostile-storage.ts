import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach } from '@jest/globals';
import { GcsObjectStore } from '#libs/storage/gcs';
import type { GcsObjectStoreOptions } from '#libs/storage/gcs';

export type Answer = (response: http.ServerResponse, request: http.IncomingMessage) => void;

/** A scripted storage server: the n-th request gets the n-th answer, later requests get the last one. */
export class HostileStorage {
  static async start(...answers: Answer[]): Promise<HostileStorage> {
    const storage = new HostileStorage(answers);
    await once(storage.server.listen(0, '127.0.0.1'), 'listening');
    return storage;
  }

  readonly requests: { method: string; url: URL; body: string }[] = [];
  private readonly server: http.Server;

  private constructor(answers: Answer[]) {
    this.server = http.createServer((request, response) => {
      const answer = answers[Math.min(this.requests.length, answers.length - 1)];
      const received = {
        method: request.method ?? '',
        url: new URL(request.url ?? '', 'http://x'),
        body: '',
      };
      this.requests.push(received);
      request
        .setEncoding('utf8')
        .on('data', (chunk: string) => (received.body += chunk))
        .once('end', () => answer?.(response, request));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  store(options: GcsObjectStoreOptions = {}): GcsObjectStore {
    return new GcsObjectStore({ endpoint: this.url, ...options });
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

export const OBJECT = { bucket: 'incoming', key: 'the-secret-key', version: '17' };
export const UNAVAILABLE = {
  kind: 'unavailable',
  reason: 'STORAGE_UNAVAILABLE',
  message: 'Storage is not available.',
};

export const silence: Answer = () => undefined;
export const hangUp: Answer = (_, request) => request.socket.destroy();

/** Starts storage for one test, and stops it afterwards. */
export function hostileStorages(): (...answers: Answer[]) => Promise<HostileStorage> {
  const running: HostileStorage[] = [];
  afterEach(() => Promise.all(running.splice(0).map((storage) => storage.close())));
  return async (...answers) => {
    const storage = await HostileStorage.start(...answers);
    running.push(storage);
    return storage;
  };
}
