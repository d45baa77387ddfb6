import { describe, expect, it } from '@jest/globals';
import { parsePointer, valueAt } from './json-pointer.js';

const at = (document: unknown, pointer: string) => valueAt(document, parsePointer(pointer));

describe('JSON Pointer', () => {
  // The document and pointers of https://www.rfc-editor.org/rfc/rfc6901#section-5, without the pointer to the whole
  // document.
  const RFC = JSON.parse(
    String.raw`{ "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8 }`,
  ) as unknown;
  it.each([
    ['/foo', ['bar', 'baz']],
    ['/foo/0', 'bar'],
    ['/', 0],
    ['/a~1b', 1],
    ['/c%d', 2],
    ['/e^f', 3],
    ['/g|h', 4],
    ['/i\\j', 5],
    ['/k"l', 6],
    ['/ ', 7],
    ['/m~0n', 8],
  ])('finds the value at %j', (pointer, value) => {
    expect(at(RFC, pointer)).toEqual(value);
  });

  it.each([
    [{ realm_access: { roles: ['a'] } }, '/realm_access/roles', ['a']],
    [{ 'cognito:groups': ['a'] }, '/cognito:groups', ['a']],
    [{ 'https://idp.example/groups': ['a'] }, '/https:~1~1idp.example~1groups', ['a']],
    [{ '~1': 'a' }, '/~01', 'a'],
    [JSON.parse('{ "__proto__": { "x": 1 } }'), '/__proto__/x', 1],
  ])('resolves within %j the pointer %s', (document, pointer, value) => {
    expect(at(document, pointer)).toEqual(value);
  });

  it.each([
    [{}, '/groups'],
    [{ groups: 'text' }, '/groups/length'],
    [{ groups: 'text' }, '/groups/0'],
    [{ groups: ['a'] }, '/groups/length'],
    [{ groups: ['a'] }, '/groups/00'],
    [{ groups: ['a'] }, '/groups/1'],
    [{ groups: ['a'] }, '/groups/-'],
    [{ groups: null }, '/groups/x'],
    [{}, '/constructor/name'],
    [{}, '/__proto__/toString'],
    [null, '/x'],
  ])('finds no value in %j at %s', (document, pointer) => {
    expect(at(document, pointer)).toBeUndefined();
  });

  it.each(['', 'groups', '#/groups', '/a~', '/a~2b', '/~', 'https://idp.example/groups'])(
    'rejects %j',
    (text) => {
      expect(() => parsePointer(text)).toThrow(TypeError);
    },
  );
});
