import { describe, expect, it } from '@jest/globals';
import { FrameReader, toFrame } from './frames.js';

const head = (text: number, bytes: number) => {
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(text, 0);
  lengths.writeUInt32BE(bytes, 4);
  return lengths;
};
const frameOf = (text: string, bytes = Buffer.alloc(0)) =>
  Buffer.concat([head(Buffer.byteLength(text), bytes.length), Buffer.from(text), bytes]);

describe('FrameReader', () => {
  const message = {
    id: 'ü',
    value: { renditions: [{ bytes: Buffer.from('one') }, { bytes: Buffer.from('three') }], opaque: null },
  };

  it.each([1, 7, 1000])('decodes messages from chunks of %i bytes', (size) => {
    const reader = new FrameReader(8);
    const sent = Buffer.concat([toFrame(message), toFrame({ ready: true }), toFrame(message)]);
    const received: unknown[] = [];
    for (let at = 0; at < sent.length; at += size)
      received.push(...reader.push(sent.subarray(at, at + size)));
    expect(received).toEqual([message, { ready: true }, message]);
  });

  it.each<[string, Buffer]>([
    ['noise', Buffer.alloc(100, 0xff)],
    ['a frame with an empty text', head(0, 0)],
    ['a text beyond the limit', head(2 ** 20 + 1, 0)],
    ['more bytes than allowed', head(2, 9)],
    ['invalid JSON', frameOf('{')],
    ['a null reference', frameOf('{"$bytes":null}')],
    ['a reference without numbers', frameOf('{"$bytes":["0",{}]}')],
  ])('rejects %s', (_, bytes) => {
    expect(() => new FrameReader(8).push(bytes)).toThrow();
  });

  it('clips references to the bytes of the message', () => {
    const bytes = Buffer.from('own');
    const [received] = new FrameReader(8).push(
      frameOf('[{"$bytes":[0,99]},{"$bytes":[-9,99]},{"$bytes":[9,9]}]', bytes),
    );
    expect(received).toEqual([bytes, bytes, Buffer.alloc(0)]);
  });
});
