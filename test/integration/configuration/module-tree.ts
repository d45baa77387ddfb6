import type { DynamicModule, ForwardReference, Type } from '@nestjs/common';

type Imported = Type<unknown> | DynamicModule | Promise<DynamicModule> | ForwardReference;

/** Deep enough for options and adapters, with the clients of vendors in them. */
const MAX_DEPTH = 5;

/**
 * The values that a module and those that it imports were given, by path: the names of the module's class, of the provider and of
 * the fields that lead there. Lists of texts stand as one text.
 */
export function valuesIn(module: Imported, values = new Map<string, unknown>()): Map<string, unknown> {
  if (!('module' in module)) return values;
  for (const provider of module.providers ?? []) {
    if (typeof provider === 'function' || !('useValue' in provider)) continue;
    collect(`${module.module.name}.${nameOf(provider.provide)}`, provider.useValue, values, MAX_DEPTH);
  }
  for (const imported of module.imports ?? []) valuesIn(imported, values);
  return values;
}

const nameOf = (token: unknown) =>
  typeof token === 'function'
    ? token.name
    : typeof token === 'symbol'
      ? (token.description ?? '')
      : String(token);

function collect(path: string, value: unknown, values: Map<string, unknown>, depth: number): void {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) values.set(path, value.join());
  else if (['string', 'number', 'boolean'].includes(typeof value)) values.set(path, value);
  else if (typeof value === 'object' && value !== null && depth > 0) {
    for (const [name, part] of Object.entries(value)) collect(`${path}.${name}`, part, values, depth - 1);
  }
}
