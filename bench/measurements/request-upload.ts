import { Ceiling } from '../ceilings/ceiling.ts';
import type { Figure } from '../figures.ts';
import { Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { storeAssets } from '../stored-assets.ts';
import {
  CONNECTIONS,
  FIRST_OWNER,
  MANY_OWNERS,
  newInput,
  operation,
  REQUEST_UPLOAD,
  tokensOf,
} from '../users.ts';

const SECONDS = 5;
const WARM_UP_SECONDS = 4;
const ROUNDS = 5;
/** Assets that the owners have before. */
const STORED = 100_000;

/** Single requests for unique bytes, of many owners and of one owner with assets, compared with a server that only inserts a row. */
export const requestUpload: Measurement = {
  name: 'request-upload',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    using ceiling = await Ceiling.start('insert', {
      DATABASE_URL: stack.env.DATABASE_URL,
      DATABASE_POOL: '10',
    });
    say('storing assets');
    await storeAssets(stack, { assets: STORED, firstOwner: FIRST_OWNER, owners: MANY_OWNERS });
    const tokens = await tokensOf(stack, MANY_OWNERS);
    const requestsOf = (tokens: readonly string[]) =>
      tokens.map((token) => operation(token, REQUEST_UPLOAD, { input: newInput() }));
    const [many, one] = [requestsOf(tokens), requestsOf(tokens.slice(0, 1))];
    const send = (origin: string, requests: typeof many, seconds = SECONDS) =>
      load.rate({ origin, requests, connections: CONNECTIONS, seconds });

    say('warming up');
    await send(ceiling.origin, many, WARM_UP_SECONDS);
    await send(stack.apiOrigin, many, WARM_UP_SECONDS);
    const rates = await alternate(
      {
        'one prepared insert': () => send(ceiling.origin, many),
        [`${MANY_OWNERS} owners`]: () => send(stack.apiOrigin, many),
        'one owner': () => send(stack.apiOrigin, one),
      },
      say,
      ROUNDS,
    );
    const against = { what: 'one prepared insert behind node:http', values: rates['one prepared insert'] };
    return [
      {
        what: 'requestUpload, 1,000 owners',
        unit: 'requests/s',
        values: rates[`${MANY_OWNERS} owners`],
        against,
        target: { atLeast: 0.3 },
      },
      { what: 'requestUpload, one owner', unit: 'requests/s', values: rates['one owner'], against },
    ];
  },
};
