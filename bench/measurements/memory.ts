import type { Figure } from '../figures.ts';
import { Load } from '../load/load.ts';
import type { Measurement } from '../measurement.ts';
import { needsProc, peakMemoryOf } from '../process-usage.ts';
import { CONNECTIONS, newInput, operation, REQUEST_UPLOAD, REQUEST_UPLOADS, tokensOf } from '../users.ts';

const SECONDS = 8;
const OWNERS = 100;
const BATCH = 100;
const PAGE = `{ assets(first: 100) { nodes { id filename status mimeType sizeBytes checksumSha256 createdAt metadata { key value }
  acl { principal permission expiresAt } } pageInfo { hasNextPage endCursor } } }`;

/** Peak memory of the api since its start: under all loads of the run, and at last under these three at once. */
export const memory: Measurement = {
  name: 'memory',
  obstacle: needsProc,
  async run(stack, say): Promise<Figure[]> {
    const tokens = await tokensOf(stack, OWNERS);
    const inputs = () => Array.from({ length: BATCH }, newInput);
    const requests = [
      tokens.map((token) => operation(token, REQUEST_UPLOAD, { input: newInput() })),
      tokens.map((token) => operation(token, REQUEST_UPLOADS, { inputs: inputs() })),
      tokens.map((token) => operation(token, PAGE, {})),
    ];
    say('single requests, batches of 100 and pages of 100 at once');
    const loads = requests.map(() => new Load());
    try {
      await Promise.all(
        requests.map((requests, index) =>
          loads[index]!.rate({
            origin: stack.apiOrigin,
            requests,
            connections: CONNECTIONS,
            seconds: SECONDS,
          }),
        ),
      );
    } finally {
      for (const load of loads) load[Symbol.dispose]();
    }
    const values = [peakMemoryOf(stack.api.pid!)];
    return [
      { what: 'resident memory of the api, at its peak', unit: 'MiB', values, target: { atMost: 350 } },
    ];
  },
};
