import type { Figure } from './figures.ts';
import type { Stack } from './stack.ts';

export interface Measurement {
  /** What it is called on the command line. */
  readonly name: string;
  /** Says why it cannot be made here, if it cannot. */
  readonly obstacle?: () => string | null;
  /** @param say shows what it is doing at the moment */
  readonly run: (stack: Stack, say: (doing: string) => void) => Promise<Figure[]>;
}

const ROUNDS = 3;

/** Runs all contenders once, then again, round after round; answers with each one's values. */
export async function alternate<Name extends string>(
  contenders: Readonly<Record<Name, (round: number) => Promise<number>>>,
  say: (doing: string) => void,
  rounds = ROUNDS,
): Promise<Record<Name, number[]>> {
  const names = Object.keys(contenders) as Name[];
  const values = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>;
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      say(`${name}, round ${round + 1} of ${rounds}`);
      values[name].push(await contenders[name](round));
    }
  }
  return values;
}
