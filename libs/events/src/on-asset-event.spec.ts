import { describe, expect, it } from '@jest/globals';
import { type ConsumerDeclaration, consumersOf } from './on-asset-event.js';

const VALID: ConsumerDeclaration = {
  name: 'albums.log',
  types: ['asset.ready'],
  from: 'now',
  concurrency: 4,
};
const found = (options: ConsumerDeclaration, source = 'Albums.log') => ({
  options,
  call: () => Promise.resolve(),
  source,
});

describe('consumersOf', () => {
  it('accepts valid declarations', () => {
    const name = `a.${'x'.repeat(55)}`;
    const all = consumersOf([found(VALID), found({ ...VALID, name, from: 'beginning', concurrency: 32 })]);
    expect(all.map((consumer) => consumer.name)).toEqual(['albums.log', name]);
  });

  it.each<[string, object]>([
    ['must have a name such as albums.log', { name: 'albums' }],
    ['must have a name such as albums.log', { name: 'Albums.log' }],
    ['must have a name such as albums.log', { name: 'albums.log:x' }],
    ['of at most 57 characters', { name: `a.${'x'.repeat(56)}` }],
    ['must have a type', { types: [] }],
    ['has an unknown type', { types: ['asset.renamed'] }],
    ['has a type twice', { types: ['asset.ready', 'asset.ready'] }],
    [`must start from 'now' or from the 'beginning'`, { from: 'end' }],
    ['must have a concurrency from 1 to 32', { concurrency: 0 }],
    ['must have a concurrency from 1 to 32', { concurrency: 33 }],
    ['must have a concurrency from 1 to 32', { concurrency: 1.5 }],
  ])('rejects a declaration that breaks a rule: %s %j', (problem, change) => {
    const name = 'name' in change ? String(change.name) : 'albums.log';
    expect(() => consumersOf([found({ ...VALID, ...change })])).toThrow(
      new RegExp(`^The event consumer ${name} \\(Albums\\.log\\) .*${problem}`),
    );
  });

  it('rejects two consumers of one name', () => {
    expect(() => consumersOf([found(VALID), found(VALID, 'Other.log')])).toThrow(
      'Two event consumers are named albums.log: Albums.log and Other.log.',
    );
  });
});
