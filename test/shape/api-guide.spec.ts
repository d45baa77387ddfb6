import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { buildSchema, NoDeprecatedCustomRule, parse, specifiedRules, validate } from 'graphql';
import { GUIDE, guideOperations } from '../support/api-guide.js';
import { entryFieldsOf, fieldsIn } from '../support/entry-fields.js';

const ROOT = path.resolve(import.meta.dirname, '../..');

const schema = buildSchema(readFileSync(path.join(ROOT, 'apps/api/schema.graphql'), 'utf8'));
const operations = guideOperations();
const document = parse(operations.map(({ text }) => text).join('\n'));

/** The anchors that GitHub gives to the headings of a document. */
const anchorsOf = (text: string) =>
  [...text.replaceAll(/^```[^]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('docs/api.md', () => {
  it('has operations that are valid for the schema and use nothing deprecated', () => {
    expect(validate(schema, document, [...specifiedRules, NoDeprecatedCustomRule])).toEqual([]);
  });

  it('names each operation once', () => {
    const names = operations.map(({ name }) => name);
    expect(names).not.toContain(undefined);
    expect(names).toEqual([...new Set(names)]);
  });

  it('shows every query, mutation, subscription and function for operators', () => {
    const entries = entryFieldsOf(schema);
    const shown = fieldsIn(document, schema);
    expect(entries.length).toBeGreaterThan(20);
    expect(entries.filter((entry) => !shown.has(entry))).toEqual([]);
  });

  it('says what a repeat of every mutation returns', () => {
    const [, table = ''] = /^## Repeats of mutations$(.*?)^## /ms.exec(GUIDE) ?? [];
    const named = [...table.matchAll(/^\| (`.+?`) +\|/gm)].flatMap(([, names = '']) =>
      names.split(', ').flatMap((name) => {
        const single = name.replaceAll('`', '');
        return single.endsWith('(s)') ? [single.slice(0, -3), `${single.slice(0, -3)}s`] : [single];
      }),
    );
    const mutations = Object.keys(schema.getMutationType()!.getFields());
    expect(named.sort()).toEqual(mutations.sort());
  });

  it('explains each reason of an error in one row', () => {
    const [, section = ''] = /^## Errors$(.*?)^## /ms.exec(GUIDE) ?? [];
    const rows = section
      .split('\n')
      .flatMap((line) => line.match(/^\| (?:`[A-Z_]+`)? +\| (`[A-Z0-9_]+`.*?) +\|/)?.[1] ?? []);
    const reasons = rows.flatMap((row) => [...row.matchAll(/`([A-Z0-9_]+)`/g)].map(([, reason]) => reason));
    expect(reasons.length).toBeGreaterThan(40);
    expect(reasons.filter((reason, index) => reasons.indexOf(reason) !== index)).toEqual([]);
  });

  it('has the headings that it and other documents link to', () => {
    const anchors = anchorsOf(GUIDE);
    const elsewhere = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
      readdirSync(path.join(ROOT, 'docs'))
        .filter((file) => file.endsWith('.md'))
        .map((file) => `docs/${file}`),
    );
    const wanted = [
      ...[...GUIDE.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor),
      ...elsewhere.flatMap((file) =>
        [...readFileSync(path.join(ROOT, file), 'utf8').matchAll(/\]\((?:docs\/)?api\.md#([^)]+)\)/g)].map(
          ([, anchor]) => anchor,
        ),
      ),
    ];
    expect(wanted).toContain('limits');
    expect(wanted.filter((anchor) => !anchors.includes(anchor!))).toEqual([]);
  });
});
