import type { Figure } from '../figures.ts';
import { Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { CONNECTIONS, newInput, operation, REQUEST_UPLOAD, REQUEST_UPLOADS, tokensOf } from '../users.ts';

const SECONDS = 5;
const WARM_UP_SECONDS = 3;
const BATCH = 100;
/** Number of owners in both loads. Kept small, because a batch for each owner is long. */
const OWNERS = 100;

/** URLs per second of batches, compared with single requests. */
export const requestUploads: Measurement = {
  name: 'request-uploads',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    const tokens = await tokensOf(stack, OWNERS);
    const single = tokens.map((token) => operation(token, REQUEST_UPLOAD, { input: newInput() }));
    const batches = tokens.map((token) =>
      operation(token, REQUEST_UPLOADS, { inputs: Array.from({ length: BATCH }, newInput) }),
    );
    const send = (requests: typeof single, seconds = SECONDS) =>
      load.rate({ origin: stack.apiOrigin, requests, connections: CONNECTIONS, seconds });

    say('warming up');
    await send(single, WARM_UP_SECONDS);
    await send(batches, WARM_UP_SECONDS);
    const { one, hundred } = await alternate(
      { one: () => send(single), hundred: async () => (await send(batches)) * BATCH },
      say,
    );
    const against = { what: 'requestUpload', values: one };
    const target = { atLeast: 5 };
    return [{ what: 'requestUploads, 100 at a time', unit: 'URLs/s', values: hundred, against, target }];
  },
};
