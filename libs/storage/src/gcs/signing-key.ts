import { createHmac, createPrivateKey, createSecretKey, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';

/** A key for V4 signatures. */
export interface SigningKey {
  readonly algorithm: 'GOOG4-HMAC-SHA256' | 'GOOG4-RSA-SHA256';
  /** Owner of the key: an HMAC access id or a service account's e-mail address. */
  readonly accessId: string;
  /** Returns the signature in lower-case hexadecimal; `day` is the day of the credential scope (`YYYYMMDD`). */
  sign(stringToSign: string, day: string): string | Promise<string>;
}

/** Constants of the key derivation, which has one form in all V4 schemes (AWS4, GOOG4). */
export interface DerivationNames {
  readonly prefix: string;
  readonly region: string;
  readonly service: string;
  readonly request: string;
}

const GOOG4: DerivationNames = {
  prefix: 'GOOG4',
  region: 'auto',
  service: 'storage',
  request: 'goog4_request',
};

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();

/** Derives the signing key of one day. The secret is used as text, without decoding its Base64. */
export function deriveDayKey(secret: string, day: string, names: DerivationNames = GOOG4): Buffer {
  const dayKey = hmac(names.prefix + secret, day);
  return hmac(hmac(hmac(dayKey, names.region), names.service), names.request);
}

/** Signs with an HMAC key of a service account, about eighty times cheaper than RSA. Each day's key is derived once. */
export function hmacKey({ accessId, secret }: { accessId: string; secret: string }): SigningKey {
  let cached: { day: string; key: KeyObject } | undefined;
  return {
    algorithm: 'GOOG4-HMAC-SHA256',
    accessId,
    sign(stringToSign, day) {
      if (cached?.day !== day) cached = { day, key: createSecretKey(deriveDayKey(secret, day)) };
      return createHmac('sha256', cached.key).update(stringToSign).digest('hex');
    },
  };
}

const signInThreadPool = promisify(sign);

/** Signs with a service account's RSA key, off the event loop. */
export function rsaKey(key: { clientEmail: string; privateKeyPem: string }): SigningKey {
  const privateKey = createPrivateKey(key.privateKeyPem);
  return {
    algorithm: 'GOOG4-RSA-SHA256',
    accessId: key.clientEmail,
    sign: async (stringToSign) =>
      (await signInThreadPool('RSA-SHA256', Buffer.from(stringToSign), privateKey)).toString('hex'),
  };
}
