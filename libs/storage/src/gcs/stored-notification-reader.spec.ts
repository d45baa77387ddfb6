import { describe, expect, it } from '@jest/globals';
import { StoredNotificationReader, encodeMessage } from './stored-notification-reader.js';

const attributes = {
  eventType: 'OBJECT_FINALIZE',
  bucketId: 'incoming',
  objectId: 'key',
  objectGeneration: '17',
  payloadFormat: 'JSON_API_V1',
};
const encode = (changes: Record<string, string> = {}, data = '{}') =>
  encodeMessage({ id: '1', attributes: { ...attributes, ...changes }, data: Buffer.from(data) });
const read = (text: string) => new StoredNotificationReader('incoming').read(text);

describe('encodeMessage and StoredNotificationReader', () => {
  it.each([
    ['whole message', {}, '{"size":"1"}'],
    ['data too large', {}, JSON.stringify('x'.repeat(9000))],
    ['attributes too large in multi-byte characters', { a: '文'.repeat(1500), b: '文'.repeat(1500) }, '{}'],
    [
      'irrelevant attributes too large',
      Object.fromEntries([...'abcdefghi'].map((name) => [name, 'x'.repeat(1024)])),
      '{}',
    ],
  ])('reads the key from the stored text: %s', (_, changes, data) => {
    const text = encode(changes, data);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8192);
    expect(read(text)).toEqual({ key: 'key' });
  });

  it('stores binary data in Base64', () => {
    const data = Buffer.from([0, 255, 10]);
    expect(JSON.parse(encodeMessage({ id: '1', attributes, data }))).toEqual({
      attributes,
      data: data.toString('base64'),
    });
  });

  it('escapes NUL characters, which PostgreSQL rejects', () => {
    expect(encode({ objectId: 'a\0b' })).not.toContain('\0');
  });

  it.each([
    ['not JSON', {}, 'hello', 'the payload is not JSON'],
    ['another bucket', { bucketId: 'content' }, '{}', 'the event names another bucket'],
    ['another event', { eventType: 'OBJECT_DELETE' }, '{}', 'the event is of another type'],
    [
      'relevant attributes too large',
      { objectId: '\0'.repeat(1024), bucketId: '\0'.repeat(1024) },
      '{}',
      'an attribute is missing',
    ],
  ])('reports why the text is no object event: %s', (_, changes, data, problem) =>
    expect(read(encode(changes, data))).toEqual({ problem }),
  );
});
