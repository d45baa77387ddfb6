import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { GcsUrlSigner, type GcsUrlSignerOptions } from '#libs/storage/gcs';
import { built } from '../built.ts';
import type { Figure } from '../figures.ts';
import { alternate, type Measurement } from '../measurement.ts';

const CPU_SECONDS = 0.7;
const RSA_BITS = 2048;
const BLOCK = 20;

type Key = GcsUrlSignerOptions['key'];
type SigningKey = import('../../libs/storage/src/gcs/signing-key.ts').SigningKey;

/** Calls per second of processor time of all threads, because RSA signs in a thread pool. */
async function rateOf(work: () => unknown): Promise<number> {
  for (let warmUp = 0; warmUp < BLOCK; warmUp++) await work();
  const before = process.cpuUsage();
  for (let done = 0; ;) {
    await Promise.all(Array.from({ length: BLOCK }, work));
    done += BLOCK;
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    if (seconds >= CPU_SECONDS) return done / seconds;
  }
}

/** Signs the string-to-sign of a URL: four lines, the last of them a digest. */
const signatures = (key: SigningKey) => {
  const digest = 'a'.repeat(64);
  const text = `${key.algorithm}\n20260131T120000Z\n20260131/auto/storage/goog4_request\n${digest}`;
  return () => rateOf(() => key.sign(text, '20260131'));
};

const urls = (key: Key) => {
  const signer = new GcsUrlSigner({ key });
  const file = {
    bucket: 'incoming',
    contentType: 'image/jpeg',
    sizeBytes: 3_500_000,
    method: 'PUT' as const,
  };
  const validity = { now: new Date(), expiresInSeconds: 900 };
  return () => rateOf(() => signer.signUpload({ ...file, key: randomUUID() }, validity));
};

/** Signing with an HMAC key and with an RSA key: signatures alone, and whole upload URLs. */
export const signing: Measurement = {
  name: 'signing',
  async run(_stack, say): Promise<Figure[]> {
    const { hmacKey, rsaKey } = await built<typeof import('../../libs/storage/src/gcs/signing-key.ts')>(
      'libs/storage/src/gcs/signing-key',
    );
    const { privateKey: privateKeyPem } = generateKeyPairSync('rsa', {
      modulusLength: RSA_BITS,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const hmac = { accessId: 'GOOG1EBENCH', secret: randomUUID() };
    const rsa = { clientEmail: 'bench@example.iam.gserviceaccount.com', privateKeyPem };
    const rates = await alternate(
      {
        'RSA signatures': signatures(rsaKey(rsa)),
        'HMAC signatures': signatures(hmacKey(hmac)),
        'RSA URLs': urls(rsa),
        'HMAC URLs': urls(hmac),
      },
      say,
    );
    const what = `RSA with ${RSA_BITS} bits`;
    return [
      {
        what: 'signing with HMAC',
        unit: 'signatures/CPU-s',
        values: rates['HMAC signatures'],
        against: { what, values: rates['RSA signatures'] },
        target: { atLeast: 50 },
      },
      {
        what: 'whole URLs of uploads, signed with HMAC',
        unit: 'URLs/CPU-s',
        values: rates['HMAC URLs'],
        against: { what, values: rates['RSA URLs'] },
      },
    ];
  },
};
