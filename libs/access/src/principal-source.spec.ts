import { describe, expect, it } from '@jest/globals';
import { accessStatement, NO_SOURCES, sourceSetOf } from './access-statement.js';
import { grantedSql } from './grants.sql.js';
import { isPrincipalOf, type PrincipalSourceOptions, validSources } from './principal-source.js';

const ALBUMS = { prefix: 'albums', table: 'album_shares', id: 'album_id', principal: 'principal' };
const valid = (...all: PrincipalSourceOptions[]) =>
  validSources(all.map((options, index) => ({ options, source: `Source${index}` })));

describe('validSources', () => {
  it('applies defaults and orders sources by prefix', () => {
    const rooms: PrincipalSourceOptions = { ...ALBUMS, prefix: 'a_rooms', idType: 'uuid', expiresAt: 'ends' };
    expect(valid(ALBUMS, rooms)).toEqual([rooms, { ...ALBUMS, idType: 'bigint', expiresAt: null }]);
  });

  it.each<[string, PrincipalSourceOptions[]]>([
    ['has an invalid prefix: *', [{ ...ALBUMS, prefix: '*' }]],
    ['has an invalid prefix: a:b', [{ ...ALBUMS, prefix: 'a:b' }]],
    ['has an invalid table: Shares', [{ ...ALBUMS, table: 'Shares' }]],
    ['has an invalid table: a"; drop table b; --', [{ ...ALBUMS, table: 'a"; drop table b; --' }]],
    [`has an invalid table: ${'a'.repeat(64)}`, [{ ...ALBUMS, table: 'a'.repeat(64) }]],
    ['has an invalid id: ', [{ ...ALBUMS, id: '' }]],
    ['has an invalid principal: a b', [{ ...ALBUMS, principal: 'a b' }]],
    ['has an invalid expiresAt: 1', [{ ...ALBUMS, expiresAt: '1' }]],
    ['has an invalid idType: int', [{ ...ALBUMS, idType: 'int' as 'bigint' }]],
    ['uses the reserved prefix user', [{ ...ALBUMS, prefix: 'user' }]],
    ['uses the reserved prefix group', [{ ...ALBUMS, prefix: 'group' }]],
  ])('refuses a source that %s', (problem, sources) => {
    expect(() => valid(...sources)).toThrow(`The principal source of Source0 ${problem}.`);
  });

  it('refuses two sources with one prefix', () => {
    expect(() => valid(ALBUMS, { ...ALBUMS, table: 'others' })).toThrow(
      'The principal source of Source1 uses the prefix albums of Source0.',
    );
  });
});

describe('isPrincipalOf', () => {
  const uuid = '019f5b1e-7c4b-7def-8a1b-0123456789ab';
  it.each<[PrincipalSourceOptions['idType'], string, boolean]>([
    ['bigint', 'albums:0', true],
    ['bigint', 'albums:8999999999999999999', true],
    ['bigint', 'albums:9223372036854775808', false],
    ['bigint', 'albums:07', false],
    ['bigint', 'albums:-1', false],
    ['bigint', 'albums:', false],
    ['bigint', 'albums:7\n', false],
    ['bigint', 'album:7', false],
    ['bigint', 'albums2:7', false],
    ['bigint', 'user:7', false],
    ['uuid', `albums:${uuid}`, true],
    ['uuid', `albums:${uuid.toUpperCase()}`, false],
    ['uuid', 'albums:7', false],
    ['text', 'albums:a.b:c-d_E', true],
    ['text', `albums:${'a'.repeat(128)}`, true],
    ['text', `albums:${'a'.repeat(129)}`, false],
    ['text', 'albums:a b', false],
    ['text', 'albums:', false],
  ])('with ids of type %s: %j is %p', (idType, text, expected) => {
    expect(isPrincipalOf(valid({ ...ALBUMS, idType })[0]!, text)).toBe(expected);
  });
});

describe('accessStatement', () => {
  it('reads only the grants to the principals of the caller without sources', () => {
    const sql = grantedSql('$2');
    expect(sql.match(/from asset_acl/g)).toHaveLength(1);
    expect(sql).toContain('g.principal = any((select $2::text[])::text[])');
    expect(grantedSql('$2', valid(ALBUMS)).match(/from asset_acl|from "album_shares"/g)).toHaveLength(3);
  });

  it('defines one statement for equal sources, with a stable name', () => {
    const all = accessStatement<object>('spec_find', (granted) => `select ${granted('$1')}`);
    expect(all.for(NO_SOURCES)).toEqual({ name: 'spec_find', text: `select ${grantedSql('$1')}` });
    const albums = all.for(sourceSetOf(valid(ALBUMS)));
    expect(all.for(sourceSetOf(valid({ ...ALBUMS })))).toBe(albums);
    expect(albums.name).toBe('spec_find_2376284c');
    const rooms = all.for(sourceSetOf(valid({ ...ALBUMS, prefix: 'rooms' })));
    expect(new Set([albums.name, rooms.name, 'spec_find'])).toHaveProperty('size', 3);
    expect(() => accessStatement('spec_find', String)).toThrow('Another statement is named spec_find.');
  });
});
