/** What a figure is held against, measured in the same rounds. */
export interface Comparison {
  readonly what: string;
  /** One for each round. */
  readonly values: readonly number[];
}

/** One line of the table. A target is for the ratio where there is a comparison, else for the value itself. */
export interface Figure {
  readonly what: string;
  /** Of the values: `assets/s`, `MiB`. */
  readonly unit: string;
  /** One for each round. */
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

/** Round by round, so that what disturbs a round disturbs both sides of its ratio. */
export const ratioOf = ({ values, against }: Figure): Spread | null =>
  against === undefined
    ? null
    : spreadOf(values.map((value, round) => value / (against.values[round] ?? NaN)));

/** Null where there is no target. */
export function isMet(figure: Figure): boolean | null {
  const { target } = figure;
  if (target === undefined) return null;
  const { median } = ratioOf(figure) ?? spreadOf(figure.values);
  return 'atLeast' in target ? median >= target.atLeast : median <= target.atMost;
}
