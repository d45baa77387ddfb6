import { randomBytes, randomUUID } from 'node:crypto';
import path from 'node:path';
import { GcsUrlSigner } from '#libs/storage/gcs';
import { Ceiling } from '../ceilings/ceiling.ts';
import type { Figure } from '../figures.ts';
import { Load, type LoadRequest } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import type { Stack } from '../stack.ts';

const CONNECTIONS = 8;
/** Has no notifications, so that publishing is not measured. */
const BUCKET = 'stowage-bench';
const KIB = 2 ** 10;
/** For small files, the synced folder and the row weigh more than the bytes. */
const SIZES = [
  { bytes: 64 * KIB, name: '64 KiB', puts: 1500, target: undefined },
  { bytes: 1024 * KIB, name: '1 MiB', puts: 300, target: { atLeast: 0.6 } },
  { bytes: 8192 * KIB, name: '8 MiB', puts: 60, target: undefined },
];

async function createBucket({ storageOrigin, env }: Stack): Promise<void> {
  const answer = await fetch(`${storageOrigin}/storage/v1/b?project=${env.GOOGLE_CLOUD_PROJECT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: BUCKET }),
    signal: AbortSignal.timeout(10_000),
  });
  if (answer.status !== 200 && answer.status !== 409) throw new Error(`no bucket: ${await answer.text()}`);
}

/** Signed PUTs to the storage emulator, compared with a server that only hashes the bytes into a synced file. */
export const emulatorPut: Measurement = {
  name: 'emulator-put',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    using ceiling = await Ceiling.start('disk', { FOLDER: path.join(stack.folder, 'ceiling') });
    await createBucket(stack);
    const { hmacAccessId: accessId, hmacSecret: secret } = stack.secrets;
    const signer = new GcsUrlSigner({ endpoint: stack.storageOrigin, key: { accessId, secret } });
    const signedPut = async (sizeBytes: number): Promise<LoadRequest> => {
      const grant = {
        bucket: BUCKET,
        key: randomUUID(),
        contentType: 'image/jpeg',
        sizeBytes,
        method: 'PUT' as const,
      };
      const { url, headers } = await signer.signUpload(grant, { now: new Date(), expiresInSeconds: 900 });
      const signed = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
      const path = url.slice(stack.storageOrigin.length);
      return { method: 'PUT', path, headers: { ...signed, 'content-length': String(sizeBytes) } };
    };
    const figures: Figure[] = [];
    for (const { bytes, name, puts, target } of SIZES) {
      const bodies = [randomBytes(bytes)];
      const send = async (origin: string, count = puts) => {
        const requests = await Promise.all(Array.from({ length: count }, () => signedPut(bytes)));
        return load.rate({ origin, requests, bodies, connections: CONNECTIONS });
      };
      for (const origin of [ceiling.origin, stack.storageOrigin]) await send(origin, Math.ceil(puts / 5));
      const { bare, emulator } = await alternate(
        { bare: () => send(ceiling.origin), emulator: () => send(stack.storageOrigin) },
        (doing) => say(`${name}, ${doing}`),
      );
      const against = { what: 'node:http, hashed and synced', values: bare };
      figures.push({
        what: `storage emulator, PUT of ${name}`,
        unit: 'PUTs/s',
        values: emulator,
        against,
        target,
      });
    }
    return figures;
  },
};
