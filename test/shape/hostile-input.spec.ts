import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';

const ROOT = path.resolve(import.meta.dirname, '../..');

/** Section of docs/security.md with the table of hostile input. */
const SECTION = /^## Hostile input\n([^]*?)^## /m;

it('lists an existing suite for each kind of hostile input', () => {
  const section = SECTION.exec(readFileSync(path.join(ROOT, 'docs/security.md'), 'utf8'))?.[1] ?? '';
  const [, , ...rows] = section.split('\n').filter((line) => line.startsWith('|'));
  expect(rows).toHaveLength(19);
  const suites = ['test', 'libs'].flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.spec.ts'))
      .map((file) => `/${folder}/${file}`),
  );
  const found = rows.map((row) => {
    const [, input = '', , names = ''] = row.split('|').map((cell) => cell.trim());
    const named = Array.from(names.matchAll(/`([^`]+)`/g), ([, name]) => name!);
    const missing = named.filter(
      (name) => suites.filter((suite) => suite.endsWith(`/${name}.spec.ts`)).length !== 1,
    );
    return { input, isTested: named.length > 0, missing };
  });
  expect(found.filter(({ isTested, missing }) => !isTested || missing.length > 0)).toEqual([]);
});
