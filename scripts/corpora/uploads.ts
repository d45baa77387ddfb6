import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Asset, Client } from '../client.ts';
import { send } from '../sending.ts';
import { reason } from '../command.ts';

const POLL_MS = 100;
const LIMIT_MS = 15 * 60_000;

/** What became of one file, declared in one way. */
export interface Result {
  readonly package: string;
  readonly file: string;
  readonly declared: string;
  readonly sizeBytes: number;
  /** READY, REJECTED and so on; `refused` when not even the request was taken. */
  readonly status: string;
  readonly type: string;
  readonly code: string | null;
  readonly message: string | null;
  readonly found: readonly string[];
}

async function ended(client: Client, id: string): Promise<Asset> {
  for (const limit = Date.now() + LIMIT_MS; ; await delay(POLL_MS)) {
    const asset = await client.asset(id);
    if (asset === null) throw new Error('The asset is gone');
    if (asset.status !== 'PENDING' && asset.status !== 'PROCESSING') return asset;
    if (Date.now() > limit) throw new Error(`It is still ${asset.status}`);
  }
}

/** The names of what is known of a file beside its bytes. */
function foundIn({ properties, variants }: Asset): string[] {
  const names = Object.entries(properties ?? {}).flatMap(([name, value]) => (value === null ? [] : [name]));
  return variants.length > 0 ? [...names, 'variants'] : names;
}

/** Sends a file as a client would, and waits for the end. */
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
    const { status, mimeType: type, statusReason, ...rest } = await ended(client, asset.id);
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
