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

describe('messages', () => {
  const said = {
    id: 'ü',
    value: { renditions: [{ bytes: Buffer.from('one') }, { bytes: Buffer.from('three') }], opaque: null },
  };

  it.each([1, 7, 1000])('arrive in chunks of %i as they were sent', (size) => {
    const reader = new FrameReader(8);
    const sent = Buffer.concat([toFrame(said), toFrame({ ready: true }), toFrame(said)]);
    const heard: unknown[] = [];
    for (let at = 0; at < sent.length; at += size) heard.push(...reader.push(sent.subarray(at, at + size)));
    expect(heard).toEqual([said, { ready: true }, said]);
  });

  it.each<[string, Buffer]>([
    ['noise', Buffer.alloc(100, 0xff)],
    ['an empty text', head(0, 0)],
    ['a long text', head(2 ** 20 + 1, 0)],
    ['many bytes', head(2, 9)],
    ['no JSON', frameOf('{')],
    ['a reference to nothing', frameOf('{"$bytes":null}')],
    ['a reference that is no number', frameOf('{"$bytes":["0",{}]}')],
  ])('are not: %s', (_, bytes) => {
    expect(() => new FrameReader(8).push(bytes)).toThrow();
  });

  it('refer to bytes of their own alone', () => {
    const bytes = Buffer.from('own');
    const [heard] = new FrameReader(8).push(
      frameOf('[{"$bytes":[0,99]},{"$bytes":[-9,99]},{"$bytes":[9,9]}]', bytes),
    );
    expect(heard).toEqual([bytes, bytes, Buffer.alloc(0)]);
  });
});
