import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, isInputObjectType, isObjectType } from 'graphql';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

/** Sources that can open a connection, and the configuration that names its target. No target comes from a client. */
const CONNECTIONS: Readonly<Record<string, string>> = {
  'libs/database/src/connect.ts': 'DATABASE_URL',
  'libs/database/src/database.ts': 'DATABASE_URL',
  'libs/identity/src/key-set.ts': 'JWT_JWKS_URL',
  'libs/inspection/src/child/main.ts': 'none: the socket is the inherited channel to the worker',
  'libs/queue/src/bullmq-patches/postgres-backend.ts': 'DATABASE_URL',
  'libs/scanner/src/clamd/clamd-connection.ts': 'CLAMD_ADDRESS',
  'libs/storage/src/gcs/gcs-client.ts': 'STORAGE_ENDPOINT',
  'libs/storage/src/gcs/media.ts': 'STORAGE_ENDPOINT',
  'libs/storage/src/gcs/pubsub-client.ts': 'PUBSUB_EMULATOR_HOST',
  'libs/stowage/src/api/callers/lease-store.ts': 'DATABASE_URL, REDIS_URL',
  'libs/stowage/src/api/playground/browser.ts': "none: the browser's script asks its own origin",
};

/** Servers of development, tests, and generated files. */
const LEFT_OUT = /\.spec\.ts$|^apps\/local\/|\/(testing|generated|gcp-emulator)\//;
const MODULES = /^(?:node:)?(?:net|http|https|http2|tls|dgram|undici|pg|ioredis|axios|got|node-fetch)$/;

/** Whether a source imports a value that opens connections, or calls `fetch`. */
function opensConnections(source: string): boolean {
  const imports = source.matchAll(/^import (type )?([^;]*?) from '([^']+)'/gm);
  const isClient = Array.from(imports).some(([, isType, names = '', module = '']) => {
    if (isType !== undefined) return false;
    const google = /\b(?<!type )(?:Storage|PubSub)\b/.test(names) && module.startsWith('@google-cloud/');
    return MODULES.test(module) || google || names.includes('createRemoteJWKSet');
  });
  const callsFetch = /\bfetch\(/.test(source) && !/\bfetch: /.test(source);
  return isClient || callsFetch || /\bnew (?:WebSocket|EventSource)\(/.test(source);
}

describe('outgoing requests', () => {
  it('are made by these sources only, each to configured addresses', () => {
    const sources = ['apps', 'libs'].flatMap((folder) =>
      readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .map((file) => `${folder}/${file}`)
        .filter((file) => file.endsWith('.ts') && !LEFT_OUT.test(file)),
    );
    expect(sources.filter((file) => opensConnections(read(file))).sort()).toEqual(Object.keys(CONNECTIONS));
  });

  it('go to no address of a client: no input of the schema is an address', () => {
    const inputs = Object.values(buildSchema(read('apps/api/schema.graphql')).getTypeMap())
      .filter(({ name }) => !name.startsWith('__'))
      .flatMap((type) => {
        if (isInputObjectType(type)) return Object.keys(type.getFields()).map((name) => [type.name, name]);
        if (!isObjectType(type)) return [];
        return Object.values(type.getFields()).flatMap(({ name, args }) =>
          args.map((arg) => [`${type.name}.${name}`, arg.name]),
        );
      });
    expect(inputs.length).toBeGreaterThan(50);
    const isAddress = /ur[li]|href|link|host|address|endpoint|hook|callback|domain|proxy/i;
    expect(inputs.filter(([, name]) => isAddress.test(name!))).toEqual([]);
  });
});

describe('the check of sources', () => {
  it.each([
    ["import http from 'node:http';", true],
    ["import type { IncomingMessage } from 'node:http';", false],
    ["import { Storage } from '@google-cloud/storage';", true],
    ["import { ApiError } from '@google-cloud/storage';", false],
    ['const answer = await fetch(url);', true],
    ['function merge(fetch: Fetch) { return fetch(1); }', false],
    ['new WebSocket(url)', true],
  ])('judges %j: %s', (source, opens) => {
    expect(opensConnections(source)).toBe(opens);
  });
});
