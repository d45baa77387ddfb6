import type { Figure } from '../figures.ts';
import { requestAll } from '../files.ts';
import { type Latency, Load } from '../load/load.ts';
import { alternate, type Measurement } from '../measurement.ts';
import { Subscribers } from '../subscribers.ts';
import { newInput, operation, tokensOf } from '../users.ts';

const SUBSCRIBERS = 3;
/** Default limit of subscriptions per owner. */
const SUBSCRIPTIONS = 1000;
const ASSETS = 100;
const SECONDS = 5;
const WARM_UP_SECONDS = 2;
const PAGE = '{ assets(first: 20) { nodes { id filename status } } }';

/**
 * Latency of another client that requests one page after another, while three owners open a thousand subscriptions each,
 * and while these are idle, compared with the client alone.
 */
export const subscriptions: Measurement = {
  name: 'subscriptions',
  async run(stack, say): Promise<Figure[]> {
    using load = new Load();
    const [other = '', ...tokens] = await tokensOf(stack, 1 + SUBSCRIBERS);
    const inputs = () => Array.from({ length: ASSETS }, newInput);
    await requestAll(stack, other, inputs());
    const assets = await Promise.all(tokens.map((token) => requestAll(stack, token, inputs())));
    const requests = [operation(other, PAGE, {})];
    const ask = (seconds = SECONDS) =>
      load.latency({ origin: stack.apiOrigin, requests, connections: 1, seconds });
    const beside = async (): Promise<{ opening: Latency; idle: Latency }> => {
      using subscribers = new Subscribers();
      const open = tokens.map((token, owner) =>
        subscribers.open(
          stack,
          token,
          assets[owner]!.map(({ id }) => id),
          SUBSCRIPTIONS,
        ),
      );
      const [opening] = await Promise.all([ask(), ...open]);
      return { opening, idle: await ask() };
    };

    say('warming up');
    await ask(WARM_UP_SECONDS);
    const { alone, subscribed } = await alternate({ alone: () => ask(), subscribed: beside }, say);
    const meanOf = ({ mean }: Latency) => mean;
    const slowestOf = ({ slowest }: Latency) => slowest;
    const openings = subscribed.map(({ opening }) => opening);
    const what = `${(SUBSCRIBERS * SUBSCRIPTIONS).toLocaleString('en')} subscriptions`;
    return [
      {
        what: `a page of 20 beside ${what} that are idle`,
        unit: 'ms',
        values: subscribed.map(({ idle }) => idle.mean),
        against: { what: 'the same without them', values: alone.map(meanOf) },
      },
      {
        what: `a page of 20 while ${what} are opened`,
        unit: 'ms',
        values: openings.map(meanOf),
        against: { what: 'the same without them', values: alone.map(meanOf) },
      },
      {
        what: `the slowest page of 20 while ${what} are opened`,
        unit: 'ms',
        values: openings.map(slowestOf),
        against: { what: 'the slowest without them', values: alone.map(slowestOf) },
      },
    ];
  },
};
