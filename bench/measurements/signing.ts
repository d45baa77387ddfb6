import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { GcsUrlSigner, type GcsUrlSignerOptions } from '#libs/storage/gcs';
import type { Figure } from '../figures.ts';
import { alternate, type Measurement } from '../measurement.ts';

const CPU_SECONDS = 0.7;
const RSA_BITS = 2048;
const BLOCK = 20;

/** URLs for each second of processor time, all threads of the process together: RSA signs in a pool. */
async function rateOf(key: GcsUrlSignerOptions['key']): Promise<number> {
  const signer = new GcsUrlSigner({ key });
  const validity = { now: new Date(), expiresInSeconds: 900 };
  const sign = () => {
    const grant = { bucket: 'incoming', key: randomUUID(), contentType: 'image/jpeg', sizeBytes: 3_500_000 };
    return signer.signUpload({ ...grant, method: 'PUT' }, validity);
  };
  for (let warmUp = 0; warmUp < BLOCK; warmUp++) await sign();
  const before = process.cpuUsage();
  for (let signed = 0; ;) {
    await Promise.all(Array.from({ length: BLOCK }, sign));
    signed += BLOCK;
    const { user, system } = process.cpuUsage(before);
    const seconds = (user + system) / 1e6;
    if (seconds >= CPU_SECONDS) return signed / seconds;
  }
}

/** Signing an upload's URL with an HMAC key and with an RSA key. */
export const signing: Measurement = {
  name: 'signing',
  async run(_stack, say): Promise<Figure[]> {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: RSA_BITS,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const { HMAC, RSA } = await alternate(
      {
        RSA: () =>
          rateOf({ clientEmail: 'bench@example.iam.gserviceaccount.com', privateKeyPem: privateKey }),
        HMAC: () => rateOf({ accessId: 'GOOG1EBENCH', secret: randomUUID() }),
      },
      say,
    );
    const against = { what: `RSA with ${RSA_BITS} bits`, values: RSA };
    return [
      { what: 'signing with HMAC', unit: 'URLs/CPU-s', values: HMAC, against, target: { atLeast: 50 } },
    ];
  },
};
