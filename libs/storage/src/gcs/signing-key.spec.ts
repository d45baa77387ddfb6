import { describe, expect, it } from '@jest/globals';
import { deriveDayKey, hmacKey } from './signing-key.js';

describe('deriveDayKey', () => {
  // https://docs.aws.amazon.com/general/latest/gr/signature-v4-examples.html
  it("derives AWS's published key with AWS's constants", () => {
    const names = { prefix: 'AWS4', region: 'us-east-1', service: 'iam', request: 'aws4_request' };
    const key = deriveDayKey('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', '20120215', names);
    expect(key.toString('hex')).toBe('f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d');
  });

  // for n in 20261122 auto storage goog4_request: openssl dgst -sha256 -mac HMAC -macopt key:… (hexkey:… from the
  // second on)
  it('derives the key that openssl derives with the constants of Google Cloud Storage', () => {
    const key = deriveDayKey('bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ', '20261122');
    expect(key.toString('hex')).toBe('94d163a456550a3f44c4ffc5a501795387f69dc86c69fd0fafd4faa737904dde');
  });
});

it('signs with the key of the requested day after signing for other days', async () => {
  const fresh = (day: string) => hmacKey({ accessId: 'GOOG1E', secret: 's' }).sign('text', day);
  const key = hmacKey({ accessId: 'GOOG1E', secret: 's' });
  for (const day of ['20261122', '20261123', '20261122']) {
    expect(await key.sign('text', day)).toBe(await fresh(day));
  }
  expect(await fresh('20261122')).not.toBe(await fresh('20261123'));
});
