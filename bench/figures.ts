/** Values that a figure is compared with, measured in the same rounds. */
interface Comparison {
  readonly what: string;
  /** One value per round. */
  readonly values: readonly number[];
}

/** One row of the table. The target applies to the ratio if there is a comparison, otherwise to the value. */
export interface Figure {
  readonly what: string;
  /** Unit of the values: `assets/s`, `MiB`. */
  readonly unit: string;
  /** One value per round. */
  readonly values: readonly number[];
  readonly against?: Comparison;
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [(sorted.length - 1) >> 1, sorted.length >> 1].map((at) => sorted[at] ?? NaN);
  return { median: ((low ?? NaN) + (high ?? NaN)) / 2, least: sorted[0] ?? NaN, most: sorted.at(-1) ?? NaN };
}

/** Computes the ratio per round, so that a disturbance of a round affects both sides of its ratio. */
export const ratioOf = ({ values, against }: Figure): Spread | null =>
  against === undefined
    ? null
    : spreadOf(values.map((value, round) => value / (against.values[round] ?? NaN)));

/** Whether the figure meets its target. Null without a target. */
export function isMet(figure: Figure): boolean | null {
  const { target } = figure;
  if (target === undefined) return null;
  const { median } = ratioOf(figure) ?? spreadOf(figure.values);
  return 'atLeast' in target ? median >= target.atLeast : median <= target.atMost;
}
