/** Ceiling of requestUpload: node:http, one prepared insert of a row like that of an asset, and an answer in JSON. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';

const TABLE = `drop table if exists bench_assets;
  create table bench_assets (like media_assets including defaults);
  alter table bench_assets add primary key (asset_id);`;
const INSERT = `insert into bench_assets (asset_id, owner_id, bucket, object_key, filename, mime_type, declared_type, size_bytes,
    checksum_sha256, status, upload_method, request_id, url_expires_at, upload_deadline_at, next_check_at, created_at, updated_at)
  values ($1, $2, $3, $9, $4, $5, $5, $6, $7, 'PENDING', 'PUT', $9, $8, $8, $8, $8, $8) returning asset_id, status, created_at`;

interface Body {
  readonly variables: {
    readonly input: {
      readonly filename: string;
      readonly mimeType: string;
      readonly sizeBytes: number;
      readonly checksumSha256: string;
    };
  };
}

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.DATABASE_POOL),
  connectionTimeoutMillis: 5_000,
  query_timeout: 15_000,
});
await pool.query(TABLE);

const server = createServer((request, response) => {
  void (async () => {
    const { input } = ((await json(request)) as Body).variables;
    const { filename, mimeType, sizeBytes, checksumSha256 } = input;
    const id = uuidv7();
    const values = [id, 42, 'incoming', filename, mimeType, sizeBytes, checksumSha256, new Date(), id];
    const { rows } = await pool.query({ name: 'insert', text: INSERT, values });
    const body = JSON.stringify({ data: rows[0] as object });
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      .end(body);
  })().catch((error: unknown) => response.writeHead(500).end(String(error)));
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());
