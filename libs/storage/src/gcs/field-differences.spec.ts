import { describe, expect, it } from '@jest/globals';
import { differences } from './field-differences.js';

describe('differences', () => {
  it.each<[string, unknown, unknown]>([
    ['a number returned as text', '604800', 604_800],
    ['an extra field', { a: 1, b: 2 }, { a: 1 }],
    ['unset, null wanted', undefined, null],
    ['equal lists with extra fields', [{ a: ['x', 'y'], z: 0 }], [{ a: ['x', 'y'] }]],
    ['an empty list', [], []],
  ])('finds no difference: %s', (_, actual, wanted) =>
    expect(differences('field', actual, wanted)).toEqual([]),
  );

  it.each<[string, unknown, unknown, [field: string, from: unknown, to: unknown][]]>([
    ['different value', 1, 2, [['field', 1, 2]]],
    ['unset', undefined, 2, [['field', null, 2]]],
    ['set, null wanted', { seconds: 1 }, null, [['field', { seconds: 1 }, null]]],
    ['nested field', { a: { b: 1, c: 2 } }, { a: { b: 2, c: 2 } }, [['field.a.b', 1, 2]]],
    ['text instead of an object', 'text', { a: 1 }, [['field', 'text', { a: 1 }]]],
    ['different item in a list of scalars', ['x', 'y'], ['x', 'z'], [['field', ['x', 'y'], ['x', 'z']]]],
    ['different order', ['x', 'y'], ['y', 'x'], [['field', ['x', 'y'], ['y', 'x']]]],
    ['a longer list', [{ a: 1 }, { a: 2 }], [{ a: 1 }], [['field', [{ a: 1 }, { a: 2 }], [{ a: 1 }]]]],
    ['field of a list item', [{ a: 1, b: 1 }], [{ a: 2, b: 1 }], [['field[0].a', 1, 2]]],
    ['list instead of a number', [1], 1, [['field', [1], 1]]],
  ])('reports path, actual and wanted value: %s', (_, actual, wanted, found) =>
    expect(differences('field', actual, wanted)).toEqual(
      found.map(([field, from, to]) => ({ field, from, to })),
    ),
  );
});
