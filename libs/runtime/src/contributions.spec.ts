import { describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  classContribution,
  Contributions,
  ContributionsModule,
  methodContribution,
} from './contributions.js';

const OnTick = methodContribution<{ seconds: number }, (by: string) => string>('OnTick');
const Named = classContribution<string, { readonly value: number }>('Named');

@Injectable()
class Clock {
  readonly name = 'clock';

  @OnTick({ seconds: 1 })
  tick(by: string): string {
    return `${this.name} by ${by}`;
  }

  other(): void {}
}

@Named('seven')
class Seven {
  readonly value: number = 7;
}

class Eight extends Seven {
  override readonly value: number = 8;
}

@Module({ providers: [Clock, Seven, Eight, { provide: 'alias', useExisting: Clock }] })
class FeatureModule {}

describe('Contributions', () => {
  const start = async () => {
    const module = await Test.createTestingModule({
      imports: [ContributionsModule, FeatureModule],
    }).compile();
    return module.get(Contributions);
  };

  it('finds decorated methods once and calls them on their provider', async () => {
    const found = (await start()).methods(OnTick);
    expect(found).toEqual([{ options: { seconds: 1 }, call: expect.any(Function), source: 'Clock.tick' }]);
    expect(found[0]!.call('test')).toBe('clock by test');
  });

  it('refuses one decorator twice on a method', () => {
    expect(() => {
      class Twice {
        @OnTick({ seconds: 1 })
        @OnTick({ seconds: 2 })
        tick(by: string): string {
          return by;
        }
      }
      return Twice;
    }).toThrow('Twice.tick has the decorator OnTick twice.');
  });

  it('finds decorated providers without their subclasses', async () => {
    const found = (await start()).classes(Named);
    expect(found.map(({ options, instance, source }) => [options, instance.value, source])).toEqual([
      ['seven', 7, 'Seven'],
    ]);
  });
});
