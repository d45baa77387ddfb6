import { describe, expect, it } from '@jest/globals';
import { KeptNotifications, textOfMessage } from './kept-event.js';

const attributes = {
  eventType: 'OBJECT_FINALIZE',
  bucketId: 'incoming',
  objectId: 'key',
  objectGeneration: '17',
  payloadFormat: 'JSON_API_V1',
};
const keep = (changes: Record<string, string> = {}, data = '{}') =>
  textOfMessage({ id: '1', attributes: { ...attributes, ...changes }, data: Buffer.from(data) });
const read = (text: string) => new KeptNotifications('incoming').read(text);

describe('an event that is kept', () => {
  it.each([
    ['as it came', {}, '{"size":"1"}'],
    ['without data that is too large', {}, JSON.stringify('x'.repeat(9000))],
    ['without attributes in a script of more bytes', { a: '文'.repeat(1500), b: '文'.repeat(1500) }, '{}'],
    [
      'without attributes that say nothing',
      Object.fromEntries([...'abcdefghi'].map((name) => [name, 'x'.repeat(1024)])),
      '{}',
    ],
  ])('can be read again: %s', (_, changes, data) => {
    const text = keep(changes, data);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8192);
    expect(read(text)).toEqual({ key: 'key' });
  });

  it('has its data, whatever bytes these are', () => {
    const data = Buffer.from([0, 255, 10]);
    expect(JSON.parse(textOfMessage({ id: '1', attributes, data }))).toEqual({
      attributes,
      data: data.toString('base64'),
    });
  });

  it('has no character that a database refuses', () => {
    expect(keep({ objectId: 'a\0b' })).not.toContain('\0');
  });

  it.each([
    ['not JSON', {}, 'hello', 'the payload is not JSON'],
    ['another bucket', { bucketId: 'content' }, '{}', 'it is of another bucket'],
    ['another event', { eventType: 'OBJECT_DELETE' }, '{}', 'it is about something else'],
    [
      'too large altogether',
      { objectId: '\0'.repeat(1024), bucketId: '\0'.repeat(1024) },
      '{}',
      'an attribute is missing',
    ],
  ])('is no event of an object: %s', (_, changes, data, problem) =>
    expect(read(keep(changes, data))).toEqual({ problem }),
  );
});
