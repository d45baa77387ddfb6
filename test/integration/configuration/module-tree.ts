import type { DynamicModule, ForwardReference, Type } from '@nestjs/common';

type Imported = Type<unknown> | DynamicModule | Promise<DynamicModule> | ForwardReference;

/** Deep enough for configuration and adapters, including their clients of vendors. */
const MAX_DEPTH = 5;

/**
 * The values that are provided to a module and its imports, by path: the names of the provider token and of the fields.
 * A list of strings is joined into one string.
 */
export function valuesIn(module: Imported, values = new Map<string, unknown>()): Map<string, unknown> {
  if (!('module' in module)) return values;
  for (const provider of module.providers ?? []) {
    if (typeof provider === 'function' || !('useValue' in provider)) continue;
    collect(nameOf(provider.provide), provider.useValue, values, MAX_DEPTH);
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
