import type { Figure } from './figures.ts';
import type { Stack } from './stack.ts';

export interface Measurement {
  /** Name on the command line. */
  readonly name: string;
  /** Returns the reason why it cannot run on this machine, or null. */
  readonly obstacle?: () => string | null;
  /** @param say shows the current activity */
  readonly run: (stack: Stack, say: (doing: string) => void) => Promise<Figure[]>;
}

const ROUNDS = 3;

type Contenders = Readonly<Record<string, (round: number) => Promise<unknown>>>;
type Values<Of extends Contenders> = { [Name in keyof Of]: Awaited<ReturnType<Of[Name]>>[] };

/** Runs all contenders in turn, round after round, and returns the values of each contender. */
export async function alternate<Of extends Contenders>(
  contenders: Of,
  say: (doing: string) => void,
  rounds = ROUNDS,
): Promise<Values<Of>> {
  const names = Object.keys(contenders);
  const values = Object.fromEntries(names.map((name): [string, unknown[]] => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      say(`${name}, round ${round + 1} of ${rounds}`);
      values[name]!.push(await contenders[name]!(round));
    }
  }
  return values as Values<Of>;
}
