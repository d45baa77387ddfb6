import { type Figure, isMet, ratioOf, type Spread, spreadOf } from './figures.ts';

const HEADERS = ['what', 'measured', 'compared with', 'ratio', 'spread', 'target', ''];

const number = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const shown = (value: number) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : number.format(value);
const range = ({ least, most }: Spread) => `${shown(least)} … ${shown(most)}`;

function targetOf({ target, against, unit }: Figure): string {
  if (target === undefined) return '';
  const suffix = against === undefined ? ` ${unit}` : '';
  return 'atLeast' in target ? `≥ ${shown(target.atLeast)}${suffix}` : `≤ ${shown(target.atMost)}${suffix}`;
}

function verdictOf(figure: Figure): string {
  const met = isMet(figure);
  return met === null ? '' : met ? 'met' : 'MISSED';
}

/** One row per figure, in the order of the headers. The spread is that of the ratio, or of the value without a ratio. */
function rowsOf(figures: readonly Figure[]): string[][] {
  return figures.map((figure) => {
    const { what, unit, values, against } = figure;
    const ratio = ratioOf(figure);
    return [
      what,
      `${shown(spreadOf(values).median)} ${unit}`,
      against === undefined ? '' : `${shown(spreadOf(against.values).median)} ${unit}, ${against.what}`,
      ratio === null ? '' : shown(ratio.median),
      range(ratio ?? spreadOf(values)),
      targetOf(figure),
      verdictOf(figure),
    ];
  });
}

export function textTable(figures: readonly Figure[]): string {
  const rows = [HEADERS, ...rowsOf(figures)];
  const widths = HEADERS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function markdownTable(figures: readonly Figure[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [HEADERS, HEADERS.map(() => '---'), ...rowsOf(figures)].map(line).join('\n');
}
