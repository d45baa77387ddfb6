import { describe, expect, it } from '@jest/globals';
import { differences } from './field-differences.js';

describe('differences', () => {
  it.each<[string, unknown, unknown]>([
    ['numbers that come as text', '604800', 604_800],
    ['more than is wanted', { a: 1, b: 2 }, { a: 1 }],
    ['nothing where nothing is wanted', undefined, null],
    ['the same lists', [{ a: ['x', 'y'], z: 0 }], [{ a: ['x', 'y'] }]],
    ['an empty list', [], []],
  ])('finds none: %s', (_, actual, wanted) => expect(differences('field', actual, wanted)).toEqual([]));

  it.each<[string, unknown, unknown, [field: string, from: unknown, to: unknown][]]>([
    ['another value', 1, 2, [['field', 1, 2]]],
    ['nothing', undefined, 2, [['field', null, 2]]],
    ['something where nothing is wanted', { seconds: 1 }, null, [['field', { seconds: 1 }, null]]],
    ['deep inside', { a: { b: 1, c: 2 } }, { a: { b: 2, c: 2 } }, [['field.a.b', 1, 2]]],
    ['not even the object', 'text', { a: 1 }, [['field', 'text', { a: 1 }]]],
    ['another word in a list', ['x', 'y'], ['x', 'z'], [['field', ['x', 'y'], ['x', 'z']]]],
    ['another order', ['x', 'y'], ['y', 'x'], [['field', ['x', 'y'], ['y', 'x']]]],
    ['a longer list', [{ a: 1 }, { a: 2 }], [{ a: 1 }], [['field', [{ a: 1 }, { a: 2 }], [{ a: 1 }]]]],
    ['in an item', [{ a: 1, b: 1 }], [{ a: 2, b: 1 }], [['field[0].a', 1, 2]]],
    ['a number that is no scalar', [1], 1, [['field', [1], 1]]],
  ])('names what is not as it should be: %s', (_, actual, wanted, found) =>
    expect(differences('field', actual, wanted)).toEqual(
      found.map(([field, from, to]) => ({ field, from, to })),
    ),
  );
});
