import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { contentDisposition } from '#libs/storage';
import { Chromium, findChromium } from './chromium.js';

const executable = findChromium();
const isSkipped = executable === null && process.env.CI !== 'true';
if (isSkipped) {
  process.stdout.write('skipped: download names in a browser (apt-get install chromium)\n');
}

(isSkipped ? describe.skip : describe)('download names (real: headless Chromium, HTTP)', () => {
  let server: http.Server;
  let browser: Chromium;
  beforeAll(async () => {
    if (executable === null) throw new Error('chromium is not on PATH: apt-get install chromium');
    server = http.createServer(({ url = '' }, response) => {
      const name = new URL(url, 'http://127.0.0.1').searchParams.get('name') ?? '';
      response.setHeader('content-type', 'application/octet-stream');
      response.setHeader('content-disposition', contentDisposition('attachment', name)).end('bytes');
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    browser = await Chromium.start(executable);
  });
  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    server?.close();
    server?.closeAllConnections();
  });

  it.each([
    'plain.txt',
    'Q3 report (final) + notes; draft=1.txt',
    'C++ & 50%25.txt',
    "it's here.txt",
    'Grüße aus Łódź.pdf',
    '日本語 の ファイル.pdf',
    '😀 holiday.png',
  ])(
    'keeps the name of the asset: %s',
    async (name) => {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/?${String(new URLSearchParams({ name }))}`;
      expect(await browser.downloadName(url)).toBe(name);
    },
    120_000,
  );
});
