import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { GUARDS, INVARIANTS } from '../../scripts/invariant-guards.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

const escape = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');

/** The source of a test file and of the contracts that it runs. */
function sourcesOf(test: string): string {
  const source = read(test);
  const contracts = [...source.matchAll(/from '#libs\/(\S+)\/testing'/g)].flatMap(([, lib]) => {
    const folder = `libs/${lib}/src/testing`;
    const files = readdirSync(path.join(ROOT, folder)).filter((file) => file.endsWith('.contract.ts'));
    return files.map((file) => read(`${folder}/${file}`));
  });
  return [source, ...contracts].join('\n');
}

/** Whether a test or a describe has this name. Values of `%s` must occur in the source too. */
function isNamedIn(source: string, name: string): boolean {
  const titles = [...source.matchAll(/\(\s*(['`])(.+?)\1,/g)].map(([, , title = '']) => title);
  return titles.some((title) => {
    if (title.includes(name)) return true;
    const parts = title.split(/%[sidjo]/);
    const values = new RegExp(`^${parts.map((part) => escape(part)).join('(.+)')}$`).exec(name);
    return parts.length > 1 && values !== null && values.slice(1).every((value) => source.includes(value));
  });
}

describe('invariant guards', () => {
  it('cover each invariant', () => {
    const numbers = [...new Set(GUARDS.map(({ invariant }) => invariant))].sort((a, b) => a - b);
    expect(numbers).toEqual(INVARIANTS.map((_, index) => index + 1));
  });

  it.each(GUARDS)(
    'have one match and a test for $invariant: $what',
    ({ file, guard, without, test, name }) => {
      expect(read(file).split(guard)).toHaveLength(2);
      expect(without).not.toBe(guard);
      expect([test, existsSync(path.join(ROOT, test))]).toEqual([test, true]);
      // Jest takes the name as a regular expression.
      expect(name).toMatch(new RegExp(`^(?:${name})$`));
      expect([name, isNamedIn(sourcesOf(test), name)]).toEqual([name, true]);
    },
  );
});
