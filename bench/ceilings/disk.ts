/** Ceiling of the storage emulator's PUT: node:http, each body hashed (MD5, CRC32C) into its own synced file. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { crc32c } from '@node-rs/crc32';

const folder = process.env.FOLDER ?? '';
await mkdir(folder, { recursive: true });

async function receive(request: IncomingMessage): Promise<{ md5: string; crc32c: number }> {
  const md5 = createHash('md5');
  let crc = 0;
  const file = await open(path.join(folder, randomUUID()), 'wx');
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      md5.update(chunk);
      crc = crc32c(chunk, crc);
      await file.write(chunk);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { md5: md5.digest('base64'), crc32c: crc };
}

const server = createServer((request, response) => {
  receive(request).then(
    (sums) => response.end(JSON.stringify(sums)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  );
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());
