import { describe, expect, it } from '@jest/globals';
import { parseClamdAddress } from './clamd-address.js';
import { verdictOf } from './clamd-replies.js';
import { parseVersion } from './clamd-version.js';

describe('parseClamdAddress', () => {
  it.each([
    ['clamav:3310', { host: 'clamav', port: 3310 }],
    ['127.0.0.1:1', { host: '127.0.0.1', port: 1 }],
    ['[::1]:3310', { host: '::1', port: 3310 }],
    ['unix:/run/clamav/clamd.sock', { path: '/run/clamav/clamd.sock' }],
  ])('parses %s', (address, target) => {
    expect(parseClamdAddress(address)).toEqual(target);
  });

  it.each([
    '',
    'clamav',
    'clamav:',
    ':3310',
    'clamav:0',
    'clamav:65536',
    '::1:3310',
    'unix:',
    'unix:run/x',
    'a b:1',
  ])('rejects %j in one sentence', (address) => {
    expect(() => parseClamdAddress(address)).toThrow(
      / is not a clamd address; use host:port or unix:\/path\.$/,
    );
  });
});

describe('verdictOf', () => {
  it.each([
    ['stream: OK', { outcome: 'clean' }],
    ['stream: Win.Test.EICAR_HDB-1 FOUND', { outcome: 'infected', signature: 'Win.Test.EICAR_HDB-1' }],
    ['stream: Own.Marker.UNOFFICIAL FOUND', { outcome: 'infected', signature: 'Own.Marker.UNOFFICIAL' }],
    [
      'stream: Heuristics.Phishing.Email FOUND',
      { outcome: 'infected', signature: 'Heuristics.Phishing.Email' },
    ],
    [
      'stream: Not.Heuristics.Encrypted.Zip FOUND',
      { outcome: 'infected', signature: 'Not.Heuristics.Encrypted.Zip' },
    ],
    [
      'stream: Heuristics.Limits.ExceededNot FOUND',
      { outcome: 'infected', signature: 'Heuristics.Limits.ExceededNot' },
    ],
    ['stream: a\nb\u0007ü FOUND', { outcome: 'infected', signature: 'a?b?' }],
    [
      'stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND',
      { outcome: 'unscannable', why: 'It exceeds a limit of the scanner (MaxFileSize).' },
    ],
    [
      'stream: Heuristics.Limits.Exceeded.MaxScanTime(44d88612fea8a8f36de82e1278abb02f:68) FOUND',
      { outcome: 'unscannable', why: 'It exceeds a limit of the scanner (MaxScanTime).' },
    ],
    [
      'stream: Heuristics.Encrypted.Zip FOUND',
      { outcome: 'unscannable', why: 'It is encrypted (Zip) and cannot be scanned.' },
    ],
    [
      'INSTREAM size limit exceeded. ERROR',
      { outcome: 'unscannable', why: 'It exceeds the size limit of the scanner.' },
    ],
    ["stream: Can't allocate memory ERROR", { outcome: 'error', message: "Can't allocate memory" }],
    ['Something else ERROR', { outcome: 'error', message: 'Something else' }],
  ])('parses %j', (reply, verdict) => {
    expect(verdictOf(reply)).toEqual(verdict);
  });

  it.each([
    'Error writing to temporary file. ERROR',
    'COMMAND READ TIMED OUT',
    'UNKNOWN COMMAND',
    'PONG',
    'OK',
    'FOUND',
    'stream: OK ',
    'stream: ok',
    ' stream: OK',
    'stream: OK\nstream: OK',
    '1: stream: OK',
    'HTTP/1.1 200 OK',
    '',
  ])('returns null for %j', (reply) => {
    expect(verdictOf(reply)).toBeNull();
  });

  it('limits the signature to 200 characters', () => {
    expect(verdictOf(`stream: ${'x'.repeat(3000)} FOUND`)).toEqual({
      outcome: 'infected',
      signature: 'x'.repeat(200),
    });
  });
});

describe('parseVersion', () => {
  it.each([
    ['ClamAV 1.4.6/27850/Fri Nov 20 08:20:00 2026', '2026-11-20T08:20:00.000Z'],
    ['ClamAV 0.103.11/27123/Tue Dec  5 09:37:44 2023', '2023-12-05T09:37:44.000Z'],
    ['ClamAV 1.4.6/27850/whenever', null],
    ['ClamAV 1.4.6', null],
  ])('parses %s', (reply, date) => {
    expect(parseVersion(reply)).toEqual({
      label: reply,
      signaturesAt: date === null ? null : new Date(date),
    });
  });

  it('limits the label to 128 printable characters', () => {
    expect(parseVersion(`ClamAV 1${'x'.repeat(500)}`)?.label).toHaveLength(128);
    expect(parseVersion('ClamAV 1.4.6\n\u001b[31m')?.label).toBe('ClamAV 1.4.6?[31m');
  });

  it('appends the suffix within the limit of the label', () => {
    expect(parseVersion('ClamAV 1.4.6', '2026-11-28')?.label).toBe('ClamAV 1.4.6 2026-11-28');
    const long = parseVersion(`ClamAV 1${'x'.repeat(500)}`, '2026-11-28')?.label;
    expect(long).toMatch(/^ClamAV 1x+ 2026-11-28$/);
    expect(long).toHaveLength(128);
  });

  it.each(['', 'PONG', 'UNKNOWN COMMAND', 'ClamAV ', 'HTTP/1.1 400 Bad Request'])(
    'returns null for %j',
    (reply) => {
      expect(parseVersion(reply)).toBeNull();
    },
  );
});
