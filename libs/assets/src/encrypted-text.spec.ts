import { describe, expect, it } from '@jest/globals';
import { EncryptedText } from './encrypted-text.js';

const [OLD, NEW, OTHER] = ['0a', '1b', '2c'].map((byte) => byte.repeat(32)) as [string, string, string];
const ID = '01a22248-e5cd-71d8-8a34-0bc740ab225f';

describe('EncryptedText', () => {
  it('decrypts a text that it encrypted', () => {
    const sealed = new EncryptedText([OLD]).seal(ID, 'https://storage.example/ü?id=1');
    expect(new EncryptedText([OLD]).open(ID, sealed)).toBe('https://storage.example/ü?id=1');
  });

  it('encrypts equal texts differently and contains no plain text', () => {
    const texts = new EncryptedText([OLD]);
    const sealed = [texts.seal(ID, 'the same'), texts.seal(ID, 'the same')];
    expect(sealed[0]).not.toBe(sealed[1]);
    expect(Buffer.from(sealed[0]!.split(':')[1]!, 'base64url').includes('the same')).toBe(false);
  });

  it('encrypts with the first key and decrypts with any key', () => {
    const sealedBefore = new EncryptedText([OLD]).seal(ID, 'text');
    const rotated = new EncryptedText([NEW, OLD]);
    expect(rotated.open(ID, sealedBefore)).toBe('text');
    expect(new EncryptedText([NEW]).open(ID, rotated.seal(ID, 'text'))).toBe('text');
    expect(new EncryptedText([OTHER, NEW]).open(ID, sealedBefore)).toBeNull();
  });

  it('does not decrypt a text of another row', () => {
    const texts = new EncryptedText([OLD]);
    expect(texts.open(ID.replace('0', '1'), texts.seal(ID, 'text'))).toBeNull();
  });

  it('does not decrypt a changed or truncated text', () => {
    const texts = new EncryptedText([OLD]);
    const [scheme, data] = texts.seal(ID, 'text').split(':') as [string, string];
    const bytes = Buffer.from(data, 'base64url');
    const opened = (changed: Buffer) => texts.open(ID, `${scheme}:${changed.toString('base64url')}`);
    expect(opened(bytes)).toBe('text');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      expect([at, opened(changed), opened(bytes.subarray(0, at))]).toEqual([at, null, null]);
    }
  });

  it.each(['', 'text', 'b256gcm:AAAA', 'a256gcm:'])('does not decrypt "%s"', (sealed) => {
    expect(new EncryptedText([OLD]).open(ID, sealed)).toBeNull();
  });

  it.each([[[]], [['short']], [[OLD, OLD.slice(2)]], [['zz'.repeat(32)]]])('rejects the keys %j', (keys) => {
    expect(() => new EncryptedText(keys)).toThrow(TypeError);
  });
});
