import { describe, expect, it } from '@jest/globals';
import { decodeObjectEvent } from './object-event.js';

const attributes = {
  notificationConfig: 'projects/_/buckets/incoming/notificationConfigs/1',
  eventType: 'OBJECT_FINALIZE',
  payloadFormat: 'JSON_API_V1',
  bucketId: 'incoming',
  objectId: '0190f7a0-5e2b-7c3d-8a4f-1b2c3d4e5f60',
  objectGeneration: '1795341661013000',
};
const message = (changes: Record<string, string | undefined> = {}, data = '{}') => ({
  id: '17',
  attributes: Object.fromEntries(
    Object.entries({ ...attributes, ...changes }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  ),
  data: Buffer.from(data),
});
const decode = (...args: Parameters<typeof message>) => decodeObjectEvent(message(...args), 'incoming');

describe('decodeObjectEvent', () => {
  it.each([
    ['complete notification', {}, '{"size":"1"}'],
    ['no payload', { payloadFormat: 'NONE' }, ''],
    ['contradicting payload', {}, '{"bucket":"other","name":"x","generation":"1"}'],
    ['unknown attributes', { future: 'x' }, '[]'],
  ])('decodes the attributes alone: %s', (_, changes, data) => {
    expect(decode(changes, data)).toEqual({
      kind: 'finalized',
      event: {
        messageId: '17',
        bucket: 'incoming',
        key: '0190f7a0-5e2b-7c3d-8a4f-1b2c3d4e5f60',
        version: '1795341661013000',
      },
    });
  });

  it.each(['OBJECT_DELETE', 'OBJECT_METADATA_UPDATE', 'OBJECT_ARCHIVE', 'SOMETHING_NEW', ''])(
    'ignores event type %j',
    (eventType) => expect(decode({ eventType })).toEqual({ kind: 'other' }),
  );

  it.each([
    ['no type', { eventType: undefined }],
    ['no bucket', { bucketId: undefined }],
    ['no object', { objectId: undefined }],
    ['no generation', { objectGeneration: undefined }],
    ['another bucket', { bucketId: 'content' }],
    ['an empty name', { objectId: '' }],
    ['an empty generation', { objectGeneration: '' }],
    ['a generation of letters', { objectGeneration: '1e5' }],
    ['a negative generation', { objectGeneration: '-1' }],
    ['generation 0', { objectGeneration: '0' }],
    ['a generation beyond 64 bits', { objectGeneration: '1'.repeat(20) }],
    ['a line break in the generation', { objectGeneration: '1\n' }],
  ])('reports a malformed event: %s', (_, changes) =>
    expect(decode(changes)).toEqual({ kind: 'malformed', problem: expect.any(String) }),
  );

  it.each(['', 'not json', '{"a":'])('reports the malformed payload %j', (data) =>
    expect(decode({}, data)).toEqual({ kind: 'malformed', problem: 'the payload is not JSON' }),
  );
});
