import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { zipArchive } from '#libs/inspection/testing';
import { LIMIT_MS } from '../../../libs/testing/src/until.js';
import { actor, requestFor, World } from '../../../libs/testing/src/world.js';
import { jpegWith } from '../../support/hostile-files/pictures.js';
import * as samples from '../inspection/samples.js';
import { readFileWith } from '../inspection/readers.harness.js';

/** Forms of private addresses that checks of addresses are known to miss. */
const ADDRESSES = [
  'http://169.254.169.254/latest/meta-data/',
  'http://metadata.google.internal/computeMetadata/v1/',
  'http://0x7f.1:PORT/',
  'http://2130706433:PORT/',
  'http://0177.0.0.1:PORT/',
  'http://127.1:PORT/',
  'http://[::ffff:127.0.0.1]:PORT/',
  'http://localtest.me:PORT/',
  'http://user@127.0.0.1:PORT/redirect',
];

/** Files of formats that name other files. `url` leads to a server of the test. */
const FILES: Readonly<
  Record<string, [type: string, build: (url: string) => Promise<Buffer> | Buffer | string]>
> = {
  'an SVG with pictures, styles and scripts': [
    'image/svg+xml',
    (url) =>
      `<?xml-stylesheet href="${url}/a.css"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">
        <style>@import url(${url}/b.css); @font-face { font-family: a; src: url(${url}/c) }</style><script href="${url}/d.js"/>
        <image xlink:href="${url}/e.png"/><use href="${url}/f.svg#g"/><feImage href="${url}/h"/></svg>`,
  ],
  'XML with external entities': [
    'application/xml',
    (url) =>
      `<!DOCTYPE a SYSTEM "${url}/a.dtd" [<!ENTITY b SYSTEM "${url}/b"><!ENTITY % c SYSTEM "${url}/c"> %c;]>
        <a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="${url}/d"/>&b;</a>`,
  ],
  'HTML that loads everything': [
    'text/html',
    (url) =>
      `<!doctype html><meta http-equiv="refresh" content="0;url=${url}"><base href="${url}"><img src="a"><iframe src="b"></iframe>`,
  ],
  'a PDF with a form and a remote file': [
    'application/pdf',
    (url) =>
      `%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/URI/URI(${url}/a)>>/AcroForm<</XFA(${url}/b)>>>>endobj\n` +
      `2 0 obj<</Type/Pages/Count 1/Kids[3 0 R]>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]` +
      `/Contents<</FS/URL/F(${url}/c)>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n`,
  ],
  'a document with a remote template': [
    'application/octet-stream',
    (url) =>
      zipArchive([
        { name: '[Content_Types].xml', content: '<Types/>' },
        {
          name: 'word/_rels/settings.xml.rels',
          content: `<Relationships><Relationship Id="a" Type="attachedTemplate" Target="${url}/a" TargetMode="External"/></Relationships>`,
        },
      ]),
  ],
  'a playlist': [
    'application/octet-stream',
    (url) => `#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n${url}/a.ts\n#EXT-X-ENDLIST\n`,
  ],
  'a film whose data are elsewhere': [
    'video/mp4',
    (url) =>
      samples.mp4({
        seconds: 1,
        size: [64, 64],
        more: [
          samples.box(
            'rmra',
            samples.box('rmda', samples.box('rdrf', Buffer.from(`\0\0\0\0url ${url}/a\0`))),
          ),
        ],
      }),
  ],
  'a JPEG with XMP of another server': [
    'image/jpeg',
    (url) =>
      jpegWith([
        0xe1,
        Buffer.from(`http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:li rdf:resource="${url}/a"/></x:xmpmeta>`),
      ]),
  ],
};

/** Null where it is not installed; the readers of films then read the file themselves. */
const ffprobe = spawnSync('which', ['ffprobe'], { encoding: 'utf8' }).stdout.trim() || null;

interface Target {
  readonly host?: string;
  readonly port?: number | string;
}

describe('addresses in files and requests (real: PostgreSQL, storage emulator, inspection processes)', () => {
  let world: World;
  let server: Server;
  let folder: string;
  /** Connections that the server of the test accepted. */
  let accepted = 0;
  let url: string;
  const connect = jest.spyOn(Socket.prototype, 'connect');

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'outgoing-'));
    server = createServer((socket) => {
      accepted++;
      socket.end('HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    world = await World.start();
    connect.mockClear();
  });
  afterAll(async () => {
    connect.mockRestore();
    await world?.[Symbol.asyncDispose]();
    server?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Targets of the connections of this process. `connect` takes a port and a host, options, or an array that holds the options. */
  const targets = () =>
    (connect.mock.calls as [number | Target | Target[], string?][]).map(([first, second]) => {
      if (typeof first === 'number') return `${second}:${first}`;
      const { host, port } = Array.isArray(first) ? first[0]! : first;
      return `${host}:${port}`;
    });
  function expectOnlyDependencies(): void {
    const known = [new URL(world.testDatabase.url), new URL(world.emulators.gcs.url)];
    const names = new Set(known.map(({ hostname, port }) => `${hostname}:${port}`));
    const others = targets().filter((target) => !names.has(target));
    expect(others).toEqual([]);
    expect(accepted).toBe(0);
  }

  it.each(Object.entries(FILES))('are not requested when %s is processed', async (_, [mimeType, build]) => {
    const bytes = Buffer.from(await build(url));
    const { status } = await world.upload(bytes, { mimeType, filename: 'file' });
    expect(['READY', 'REJECTED']).toContain(status);
    expectOnlyDependencies();
  });

  it.each(['video/mp4', 'video/x-msvideo'])(
    'are not requested by ffprobe for a playlist of type %s',
    async (detected) => {
      const playlist = Buffer.from(await FILES['a playlist']![1](url));
      const file = path.join(folder, 'playlist.m3u8');
      await writeFile(file, playlist);
      await readFileWith(file, playlist, { detected, limits: { ffprobe } });
      expectOnlyDependencies();
    },
  );

  it.each(ADDRESSES)('are stored as plain text: %s', async (pattern) => {
    const address = pattern.replace('PORT', new URL(url).port);
    const details = {
      metadata: [{ key: 'url', value: address }],
      acl: [{ principal: `group:${address}`, permissions: ['READ' as const] }],
    };
    const request = requestFor(address, { ...details, idempotencyKey: address });
    const { asset, ticket } = await world.uploads.request(actor(), request, 'test');
    expect(await world.put(ticket, address)).toBe(200);
    await world.completion.checkObject(asset.id);
    await world.process(await world.job(asset.id));
    expect(await world.asset(asset.id)).toMatchObject({ status: 'READY' });
    expect((await world.assets.details([asset.id])).get(asset.id)).toMatchObject({
      metadata: details.metadata,
    });
    for (const wrong of [{ filename: address }, { mimeType: address }]) {
      await expect(world.request('x', wrong)).rejects.toMatchObject({ kind: 'invalid' });
    }
    expectOnlyDependencies();
  });

  it('would be noticed by this test', async () => {
    await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(LIMIT_MS) });
    expect(accepted).toBe(1);
    expect(targets()).toContain(new URL(url).host);
  });
});
