import { existsSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type ContentCheck, type FileReader, InspectionExtensions } from './extensions.js';

const module = new URL('./inspector.js', import.meta.url);
const length = { type: 'float', min: 0, max: 1e9 } as const;
const reader = (more: object = {}): FileReader => ({
  id: 'gpx',
  revision: 1,
  types: /^text\/xml$/,
  module,
  properties: { length },
  ...more,
});
const check = (more: object = {}): ContentCheck => ({
  id: 'photos',
  revision: 1,
  types: /^image\//,
  module,
  reasons: ['ALBUMS_NOT_A_PHOTO'],
  ...more,
});
const names = (count: number) => Array.from({ length: count }, (_, at) => `p${at}`);
const text = (maxLength: number) => ({ type: 'text', maxLength });

describe('InspectionExtensions', () => {
  it('finds the compiled module although the tests run from the sources', () => {
    const [path = ''] = new InspectionExtensions({ readers: [reader()] }).modules;
    expect(path).toMatch(/\/dist\/libs\/inspection\/src\/inspector\.js$/);
    expect(existsSync(path)).toBe(true);
    const source = new URL(import.meta.url);
    expect(new InspectionExtensions({ checks: [check({ module: source })] }).modules).toEqual([
      import.meta.filename,
    ]);
  });

  it.each<[string, object]>([
    ['needs an id', { id: 'GPX' }],
    ['needs an id', { id: 'x'.repeat(25) }],
    ['needs a revision', { revision: 0 }],
    ['needs a revision', { revision: 1.5 }],
    ['needs a revision', { revision: 100_000 }],
    ['needs whole seconds', { seconds: 0 }],
    ['needs types without the flags', { types: /a/g }],
    ['needs types without the flags', { types: /a/y }],
    ['has no module at file:', { module: new URL('./missing.js', import.meta.url) }],
  ])('refuses a reader or check that %s: %j', (problem, more) => {
    expect(() => new InspectionExtensions({ readers: [reader(more)] })).toThrow(
      new RegExp(`^The file reader \\S+ ${problem}.*[.]$`),
    );
    expect(() => new InspectionExtensions({ checks: [check(more)] })).toThrow(
      new RegExp(`^The content check \\S+ ${problem}.*[.]$`),
    );
  });

  it.each<[string, object]>([
    ['needs 1 to 32 properties', {}],
    ['needs 1 to 32 properties', Object.fromEntries(names(33).map((name) => [name, length]))],
    ['needs camel case', { __proto: length }],
    ['needs camel case', { 'track-length': length }],
    ['declares no valid type', { a: { type: 'json' } }],
    ['declares no valid type', { a: { type: 'float' } }],
    ['declares no valid type', { a: { type: 'int', min: 1, max: 0 } }],
    ['declares no valid type', { a: { type: 'float', min: 0, max: Infinity } }],
    ['declares no valid type', { a: text(0) }],
    ['declares texts of more than', { a: text(4000), b: text(97) }],
  ])('refuses a reader that %s: %j', (problem, properties) => {
    expect(() => new InspectionExtensions({ readers: [reader({ properties })] })).toThrow(
      `The file reader gpx ${problem}`,
    );
  });

  it.each<[string, string[]]>([
    ['declares no reasons', []],
    ['needs upper snake case', ['NotAPhoto']],
    ['needs upper snake case', ['PHOTO']],
    ['needs upper snake case', [`A_${'B'.repeat(31)}`]],
    ['declares the reserved reason TOO_COSTLY', ['TOO_COSTLY']],
  ])('refuses a check that %s: %j', (problem, reasons) => {
    expect(() => new InspectionExtensions({ checks: [check({ reasons })] })).toThrow(
      `The content check photos ${problem}`,
    );
  });

  it('refuses two readers with one id, and too many', () => {
    expect(() => new InspectionExtensions({ readers: [reader(), reader({ revision: 2 })] })).toThrow(
      'The file reader gpx is declared twice.',
    );
    const many = names(17).map((id) => check({ id }));
    expect(() => new InspectionExtensions({ checks: many })).toThrow('17 extensions');
    // A reader and a check may share an id.
    new InspectionExtensions({ readers: [reader({ id: 'a' })], checks: [check({ id: 'a' })] });
  });

  it('names readers and checks at their revisions, in a column of 512 characters at most', () => {
    const readers = [reader({ id: 'b', revision: 2 }), reader({ id: 'a' })];
    const extensions = new InspectionExtensions({ readers, checks: [check()] });
    expect(extensions.readerLabel).toBe('a@1 b@2');
    expect(extensions.checkLabels).toEqual(['photos@1']);
    const long = names(16).map((id) => reader({ id: id.padEnd(24, 'x'), revision: 99_999 }));
    expect(new InspectionExtensions({ readers: long }).readerLabel.length).toBeLessThanOrEqual(512);
  });

  it('selects readers by the type of the asset, without those already applied', () => {
    const other = reader({ id: 'other', types: /^text\// });
    const { readersOf } = bound(new InspectionExtensions({ readers: [reader({ revision: 2 }), other] }));
    expect(readersOf('text/xml')).toEqual(['gpx', 'other']);
    expect(readersOf('text/plain')).toEqual(['other']);
    expect(readersOf('text/xml', 'gpx@1 other@1')).toEqual(['gpx']);
    expect(readersOf('text/xml', 'gpx@2 other@1')).toEqual([]);
    expect(readersOf('text/xml', 'gpx@10 other@1')).toEqual([]);
  });

  it.each([
    ['', false, 'a@1 b@2'],
    ['a@1', false, 'a@1 b@2'],
    ['a@1 b@1', false, 'a@1 b@2'],
    ['a@1 b@2', true, 'a@1 b@2'],
    ['a@1 b@10', true, 'a@1 b@10'],
    ['a@3 c@1', false, 'a@3 b@2 c@1'],
    ['a@3 b@2 c@1', true, 'a@3 b@2 c@1'],
  ])('keeps later revisions and other readers of the label %s', (label, areNamed, after) => {
    const extensions = new InspectionExtensions({
      readers: [reader({ id: 'b', revision: 2 }), reader({ id: 'a' })],
    });
    expect([extensions.areReadersIn(label), extensions.labelWith(label)]).toEqual([areNamed, after]);
    expect(extensions.areReadersIn(after)).toBe(true);
  });

  it('names its own readers first in a label with too many', () => {
    const label = names(16)
      .map((id) => `${id}@1`)
      .join(' ');
    const after = new InspectionExtensions({ readers: [reader({ id: 'own' })] }).labelWith(label);
    expect(after.split(' ')).toHaveLength(16);
    expect(after).toContain('own@1');
  });

  it('selects checks by the type of the asset or the detected type', () => {
    const { checksOf } = bound(new InspectionExtensions({ checks: [check()] }));
    expect(checksOf('image/png', null)).toEqual(['photos']);
    expect(checksOf('application/x-own', 'image/png')).toEqual(['photos']);
    expect(checksOf('text/plain', null)).toEqual([]);
  });
});

/** The selections of the extensions as ids. */
const bound = (extensions: InspectionExtensions) => ({
  readersOf: (...args: Parameters<InspectionExtensions['readersOf']>) =>
    extensions.readersOf(...args).map(({ id }) => id),
  checksOf: (...args: Parameters<InspectionExtensions['checksOf']>) =>
    extensions.checksOf(...args).map(({ id }) => id),
});
