import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { IsIn, IsOptional, Matches } from 'class-validator';
import {
  Bytes,
  configured,
  Flag,
  readConfiguration,
  Rule,
  Variable,
  variablesOf,
  Whole,
  Words,
} from './configuration.js';
import { ConfigurationModule } from './configuration.module.js';

class StoreConfig {
  @Variable('STORE_URL')
  @Matches(/^https:/, { message: '$property must be an https:// URL' })
  readonly url: string;

  @Variable('STORE_POOL')
  @Whole(1, 1000)
  readonly pool: number = 10;

  @Variable('STORE_BYTES')
  @Bytes()
  readonly bytes: number = 10 * 2 ** 30;

  /** Not read from the environment. */
  readonly batch: number = 4;
}

class AccessConfig {
  @Variable('ACCESS_MODE')
  @IsIn(['open', 'closed'])
  readonly mode: string = 'closed';

  @Variable('ACCESS_WORDS')
  @Words()
  @Matches(/^[a-z/]+$/, { each: true, message: '$property must be words' })
  readonly words: string[] = [];

  @Variable('ACCESS_NAMES')
  @Words()
  @IsIn(['a', 'b'], { each: true })
  readonly names: string[] = [];

  @Variable('ACCESS_LOGGED')
  @IsOptional()
  @Flag()
  @Rule('set ACCESS_LOGGED or ACCESS_MODE=closed', ({ logged, mode }: AccessConfig) => {
    return logged === true || mode === 'closed';
  })
  readonly logged?: boolean;
}

const read = (env: NodeJS.ProcessEnv) =>
  readConfiguration(
    { store: StoreConfig, access: AccessConfig },
    { STORE_URL: 'https://store.example', ...env },
  );

describe('readConfiguration', () => {
  it('applies defaults to missing and empty variables', () => {
    const { store, access } = read({ STORE_POOL: '', ACCESS_MODE: '', OTHER: 'x', batch: '7' });
    expect(store).toEqual({ url: 'https://store.example', pool: 10, bytes: 10 * 2 ** 30, batch: 4 });
    expect(access).toEqual({ mode: 'closed', words: [], names: [] });
    expect([store.constructor, access.constructor]).toEqual([StoreConfig, AccessConfig]);
  });

  it('parses numbers, sizes, lists and flags with spaces and units', () => {
    const env = {
      STORE_POOL: ' 7 ',
      STORE_BYTES: '5 GiB',
      ACCESS_WORDS: 'one/TWO, three  four',
      ACCESS_LOGGED: 'true',
    };
    expect(read(env)).toMatchObject({
      store: { pool: 7, bytes: 5 * 2 ** 30 },
      access: { words: ['one/two', 'three', 'four'], logged: true },
    });
  });

  it.each([
    ['STORE_URL', 'secret'],
    ['STORE_URL', ''],
    ['STORE_POOL', '0'],
    ['STORE_POOL', '1001'],
    ['STORE_POOL', '-1'],
    ['STORE_POOL', '1e3'],
    ['STORE_BYTES', '5 GB of secret'],
    ['ACCESS_MODE', 'secret'],
    ['ACCESS_WORDS', 'secret!'],
    ['ACCESS_NAMES', 'a, secret'],
    ['ACCESS_LOGGED', 'secret'],
  ])('reports an invalid %s without its value', (name, value) => {
    const readInvalid = () => read({ [name]: value });
    expect(readInvalid).toThrow(new RegExp(`^Configuration: [^;]*${name} must [^;]*\\.$`));
    if (value !== '') expect(readInvalid).not.toThrow(value);
  });

  it('reports all invalid variables of all classes at once', () => {
    const readInvalid = () => read({ STORE_POOL: 'x', STORE_BYTES: 'x', ACCESS_MODE: 'x' });
    expect(readInvalid).toThrow(/STORE_POOL.*; STORE_BYTES.*; ACCESS_MODE/);
  });

  it('reports a rule that does not hold in its own words', () => {
    expect(() => read({ ACCESS_MODE: 'open', ACCESS_LOGGED: 'false' })).toThrow(
      /^Configuration: set ACCESS_LOGGED or ACCESS_MODE=closed\.$/,
    );
    expect(read({ ACCESS_MODE: 'open', ACCESS_LOGGED: 'true' }).access.mode).toBe('open');
  });
});

it('variablesOf names the variable of each property', () => {
  expect(Object.fromEntries(variablesOf(StoreConfig))).toEqual({
    url: 'STORE_URL',
    pool: 'STORE_POOL',
    bytes: 'STORE_BYTES',
  });
});

it('configured keeps the defaults of missing and undefined values', () => {
  const config = configured(StoreConfig, { url: 'https://x', pool: undefined, batch: 1 });
  expect(config).toBeInstanceOf(StoreConfig);
  expect(config).toEqual({ url: 'https://x', pool: 10, bytes: 10 * 2 ** 30, batch: 1 });
});

it('ConfigurationModule provides each instance under its class', async () => {
  const config = read({});
  const module = await Test.createTestingModule({ imports: [ConfigurationModule.forRoot(config)] }).compile();
  expect(module.get(StoreConfig)).toBe(config.store);
  expect(module.get(AccessConfig)).toBe(config.access);
});
