import path from 'node:path';
import type { Result } from './uploads.ts';

const count = <T>(items: readonly T[], key: (item: T) => string): [key: string, items: T[]][] => {
  const groups = Map.groupBy(items, key);
  return [...groups].sort(([a, left], [b, right]) => right.length - left.length || a.localeCompare(b));
};

const summary = (results: readonly Result[], key: (result: Result) => string): string =>
  count(results, key)
    .map(([name, { length }]) => `${name} ${length}`)
    .join(', ') || '–';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (...cells: readonly (string | number)[]) =>
  `| ${cells.map((text) => cell(String(text))).join(' | ')} |`;

export interface Pass {
  readonly title: string;
  readonly results: readonly Result[];
  /** Duration in seconds by package. */
  readonly seconds: ReadonlyMap<string, number>;
}

const SHOWN = 6;

function passSection({ title, results, seconds }: Pass): string {
  const is = (status: string) => (result: Result) => result.status === status;
  const rows = [...Map.groupBy(results, (result) => result.package)].map(([name, own]) => {
    const [ready, rejected] = [own.filter(is('READY')), own.filter(is('REJECTED'))];
    const others = own.length - ready.length - rejected.length;
    return row(
      name,
      own.length,
      `${ready.length}: ${summary(ready, ({ type }) => type)}`,
      `${rejected.length}: ${summary(rejected, ({ code }) => code ?? '')}`,
      others,
      summary(
        ready.flatMap((result) => result.found.map((type) => ({ ...result, type }))),
        ({ type }) => type,
      ),
      Math.round(seconds.get(name) ?? 0),
    );
  });
  const refused = results.filter((result) => !is('READY')(result));
  // Picture sizes are replaced, because each size would form its own group.
  const groups = count(
    refused,
    ({ status, code, message }) => `${code ?? status}\t${(message ?? '').replaceAll(/\d+ × \d+/g, 'w × h')}`,
  );
  const reasons = groups.map(([key, own]) => {
    const [code = '', message = ''] = key.split('\t');
    const names = own.slice(0, SHOWN).map(({ file }) => `\`${path.basename(file)}\``);
    const rest = own.length > SHOWN ? `, ${own.length - SHOWN} more` : '';
    return row(own.length, code, message, names.join(', ') + rest);
  });
  return [
    `## ${title}`,
    '',
    row('package', 'files', 'READY', 'REJECTED', 'other', 'properties', 'seconds'),
    row(...Array.from({ length: 7 }, () => '---')),
    ...rows,
    '',
    row('files', 'code', 'reason', 'names'),
    row(...Array.from({ length: 4 }, () => '---')),
    ...reasons,
    '',
  ].join('\n');
}

/** The Markdown page with the results of all passes. */
export const reportOf = (intro: string, passes: readonly Pass[]): string =>
  [`# Real files`, '', intro, '', ...passes.map(passSection)].join('\n');
