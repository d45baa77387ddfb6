import type { Figure } from '../figures.ts';
import { opaqueFile, untilReady, uploadAll } from '../files.ts';
import { Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { CONNECTIONS, operation, tokensOf } from '../users.ts';

const SECONDS = 4;
const WARM_UP_SECONDS = 2;
const ASSETS = 100;
const UPLOAD_CONNECTIONS = 4;
const FILE_BYTES = 1024;

const ASSET = `query ($id: ID!) { asset(id: $id) {
  id filename status mimeType sizeBytes checksumSha256 createdAt metadata { key value } downloadUrl { url expiresAt } } }`;
const PAGE = `{ assets(first: 20) { nodes { id filename status mimeType sizeBytes createdAt } pageInfo { hasNextPage endCursor } } }`;

/** An owner reads READY assets: single assets with a download URL, and pages of twenty. */
export const reads: Measurement = {
  name: 'reads',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    const [token = ''] = await tokensOf(stack, 1);
    say('uploading assets');
    const files = Array.from({ length: ASSETS }, () => opaqueFile(FILE_BYTES));
    const ids = await stack.withWorker(async () => {
      const uploaded = await uploadAll({ stack, load, token, connections: UPLOAD_CONNECTIONS }, files);
      await untilReady(stack, uploaded);
      return uploaded;
    });
    const assetRequests = ids.map((id) => operation(token, ASSET, { id }));
    const pageRequests = [operation(token, PAGE, {})];
    const send = (requests: typeof assetRequests, seconds = SECONDS) =>
      load.rate({ origin: stack.apiOrigin, requests, connections: CONNECTIONS, seconds });
    say('warming up');
    for (const requests of [assetRequests, pageRequests]) await send(requests, WARM_UP_SECONDS);
    const { asset, page } = await alternate(
      { asset: () => send(assetRequests), page: () => send(pageRequests) },
      say,
    );
    return [
      { what: 'asset, with a download URL', unit: 'requests/s', values: asset },
      { what: 'assets, a page of 20', unit: 'requests/s', values: page },
    ];
  },
};
