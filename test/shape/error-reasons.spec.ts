import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from '@jest/globals';

const ROOT = path.resolve(import.meta.dirname, '../..');
const { RANKS } = (await import(path.join(ROOT, 'eslint.ranks.mjs'))) as { RANKS: Record<string, number> };
/** Sources whose errors reach neither clients nor operators, and features, which have documents of their own. */
const isLeftOut = (file: string) => LEFT_OUT.test(file) || featureOf(file) !== null;
const LEFT_OUT = /\.spec\.ts$|\/(testing|generated|gcp-emulator)\/|^apps\/local\//;

/** The feature that a file belongs to: a lib without a rank. */
function featureOf(file: string): string | null {
  const lib = /^libs\/([^/]+)\//.exec(file)?.[1];
  return lib === undefined || lib in RANKS ? null : lib;
}

/** Patterns by which sources name a reason; `refusal` and `unauthenticated` are helpers of single files. */
const NAMED = [
  /\b(?:invalid|unavailable|rejected|refusal|unauthenticated)\(\s*'([A-Z0-9_]+)'/g,
  /\bnew StowageError\(\s*'[a-z-]+',\s*'([A-Z0-9_]+)'/g,
  /\breason: '([A-Z0-9_]+)'/g,
  /originalError\.reason : '([A-Z0-9_]+)'/g,
  /\bcode: '([A-Z0-9_]+)', message: /g,
  /(?:\]:|INVALID =) \['([A-Z0-9_]+)', '[A-Z]/g,
];

const sources = ['libs', 'apps'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file}`)
    .filter((file) => file.endsWith('.ts') && !isLeftOut(file)),
);

it('documents every reason of an error', () => {
  const reasons = new Set(
    sources.flatMap((file) => {
      // Examples in docblocks name the reasons of features.
      const text = readFileSync(path.join(ROOT, file), 'utf8').replaceAll(/^ *\*.*$/gm, '');
      return NAMED.flatMap((pattern) => Array.from(text.matchAll(pattern), ([, reason]) => reason!));
    }),
  );
  // One reason for each pattern, so that a pattern without matches is noticed.
  expect([...reasons]).toEqual(
    expect.arrayContaining([
      ...['FILENAME_INVALID', 'DATABASE_UNAVAILABLE', 'SIZE_MISMATCH', 'SUBSCRIPTIONS_ONLY', 'TOKEN_MISSING'],
      ...['ASSET_NOT_FOUND', 'IDEMPOTENCY_KEY_REUSED', 'QUERY_TOO_DEEP', 'VALUE_INVALID', 'TOKEN_EXPIRED'],
    ]),
  );
  const documented = readFileSync(path.join(ROOT, 'docs/api.md'), 'utf8');
  expect([...reasons].filter((reason) => !documented.includes(`\`${reason}\``)).sort()).toEqual([]);
});
