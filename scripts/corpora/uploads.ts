import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Asset, Client } from '../client.ts';
import { send } from '../sending.ts';
import { reason } from '../command.ts';

const POLL_MS = 100;
const LIMIT_MS = 15 * 60_000;

/** The result of one upload. */
export interface Result {
  readonly package: string;
  readonly file: string;
  readonly declared: string;
  readonly sizeBytes: number;
  /** The final status of the asset; `refused` if the upload request or the upload itself failed. */
  readonly status: string;
  readonly type: string;
  readonly code: string | null;
  readonly message: string | null;
  readonly found: readonly string[];
}

async function waitForEnd(client: Client, id: string): Promise<Asset> {
  for (const limit = Date.now() + LIMIT_MS; ; await delay(POLL_MS)) {
    const asset = await client.asset(id);
    if (asset === null) throw new Error('The asset was purged');
    if (asset.status !== 'PENDING' && asset.status !== 'PROCESSING') return asset;
    if (Date.now() > limit) throw new Error(`The asset is still ${asset.status}`);
  }
}

/** The names of the properties that have a value, and `variants` if there are any. */
function foundIn({ properties, variants }: Asset): string[] {
  const names = Object.entries(properties ?? {}).flatMap(([name, value]) => (value === null ? [] : [name]));
  return variants.length > 0 ? [...names, 'variants'] : names;
}

/** Uploads a file as a client does, and waits for the asset's final status. */
export async function upload(client: Client, name: string, file: string, declared: string): Promise<Result> {
  const bytes = await readFile(file);
  const common = { package: name, file, declared, sizeBytes: bytes.length };
  try {
    const { asset, upload: ticket } = await client.requestUpload({
      filename: path.basename(file),
      mimeType: declared,
      sizeBytes: bytes.length,
      checksumSha256: createHash('sha256').update(bytes).digest('hex'),
    });
    if (ticket !== null) await send(ticket, file, bytes.length, () => undefined);
    const { status, mimeType: type, statusReason, ...rest } = await waitForEnd(client, asset.id);
    const { code = null, message = null } = statusReason ?? {};
    return {
      ...common,
      status,
      type,
      code,
      message,
      found: foundIn({ status, mimeType: type, statusReason, ...rest }),
    };
  } catch (error) {
    return { ...common, status: 'refused', type: declared, code: null, message: reason(error), found: [] };
  }
}
