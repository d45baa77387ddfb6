import { applyDecorators } from '@nestjs/common';
import { type ClassConstructor, plainToInstance, Transform } from 'class-transformer';
import {
  IsArray,
  IsBoolean,
  IsInt,
  Max,
  Min,
  ValidateBy,
  type ValidationArguments,
  validateSync,
} from 'class-validator';

const UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

function parseBytes(text: string): unknown {
  const match = /^(\d+)\s*([KMGT]?i?B)?$/i.exec(text.trim());
  const unit = UNITS[(match?.[2] ?? 'B').toUpperCase()];
  return match === null || unit === undefined ? text : Number(match[1]) * unit;
}

/** Parses the text of a variable. A parser returns an invalid text unchanged, which fails the validation. */
const FromText = (parse: (text: string) => unknown) =>
  Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? parse(value) : value));

/** The environment variables of each configuration class, by property. */
const VARIABLES = new WeakMap<object, Map<string, string>>();

/** Declares the environment variable that a property is read from. */
export function Variable(name: string): PropertyDecorator {
  return (target, property) => {
    const variables = VARIABLES.get(target) ?? new Map<string, string>();
    VARIABLES.set(target, variables.set(String(property), name));
  };
}

/** Declares a whole number within bounds. */
export const Whole = (min: number, max: number = Number.MAX_SAFE_INTEGER): PropertyDecorator =>
  applyDecorators(
    FromText((text) => (/^\d+$/.test(text.trim()) ? Number(text) : text)),
    IsInt(),
    Min(min),
    Max(max),
  );

/** Declares a number of bytes: `5368709120`, `5 GiB`. */
export const Bytes = (): PropertyDecorator =>
  applyDecorators(
    FromText(parseBytes),
    IsInt({ message: '$property must be a number of bytes, such as 1048576 or 5 GiB' }),
    Min(0),
    Max(Number.MAX_SAFE_INTEGER),
  );

const FLAGS: Readonly<Record<string, boolean>> = { true: true, false: false };

/** Declares a boolean: `true` or `false`. */
export const Flag = (): PropertyDecorator =>
  applyDecorators(
    FromText((text) => FLAGS[text.trim()] ?? text),
    IsBoolean({ message: '$property must be true or false' }),
  );

/** Splits a text at commas and white space, and converts it to lower case. */
export const wordsIn = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);

/** Declares a list of words, see {@link wordsIn}. */
export const Words = (): PropertyDecorator => applyDecorators(FromText(wordsIn), IsArray());

/**
 * Declares a rule for several properties. It is checked unless the property with this decorator is optional and unset.
 * @param problem the whole text for operators, without a full stop
 */
export function Rule<T extends object>(problem: string, holds: (config: T) => boolean): PropertyDecorator {
  const validate = (_: unknown, args?: ValidationArguments) => holds(args?.object as T);
  return ValidateBy({ name: 'rule', validator: { validate, defaultMessage: () => problem } });
}

type Classes = Readonly<Record<string, ClassConstructor<object>>>;

/** An instance of each class, under the same name. */
export type Configuration<C extends Classes> = { readonly [Name in keyof C]: InstanceType<C[Name]> };

/**
 * Reads the properties of several classes from their environment variables (see {@link Variable}) and validates them.
 * An empty variable counts as unset. A message of class-validator may begin with `$property`, which stands for the name
 * of the variable.
 * @throws Error that names every invalid variable of all classes, but none of their values
 * @example
 * class AlbumsConfig {
 *   @Variable('ALBUMS_MAX')
 *   @Whole(1)
 *   readonly max: number = 100;
 * }
 * const { albums } = readConfiguration({ albums: AlbumsConfig }, process.env);
 */
export function readConfiguration<C extends Classes>(classes: C, env: NodeJS.ProcessEnv): Configuration<C> {
  const problems: string[] = [];
  const read = Object.entries(classes).map(([name, type]) => {
    const variables = variablesOf(type);
    const given = [...variables].flatMap(([property, variable]) => {
      const value = env[variable];
      return value === undefined || value === '' ? [] : [[property, value] as const];
    });
    const config = plainToInstance(type, Object.fromEntries(given), { exposeDefaultValues: true });
    for (const { property, constraints } of validateSync(config, {
      validationError: { target: false, value: false },
    })) {
      const [problem] = Object.values(constraints ?? {});
      const variable = variables.get(property) ?? property;
      if (problem !== undefined) problems.push(nameVariable(problem, property, variable));
    }
    return [name, config];
  });
  if (problems.length > 0) throw new Error(`Configuration: ${problems.join('; ')}.`);
  return Object.fromEntries(read) as Configuration<C>;
}

/**
 * Creates an instance with these values, and the defaults for missing and undefined ones.
 * @example configured(AlbumsConfig, { max: 1 })
 */
export const configured = <T extends object>(type: ClassConstructor<T>, values: Partial<T> = {}): T =>
  Object.assign(
    new type(),
    Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
  );

/** The environment variable of each property of a configuration class. */
export const variablesOf = (type: ClassConstructor<object>): ReadonlyMap<string, string> =>
  VARIABLES.get(type.prototype as object) ?? new Map<string, string>();

/** Messages of class-validator begin with the property, which operators do not know. */
const nameVariable = (problem: string, property: string, variable: string) =>
  problem.replace(new RegExp(`^(each value in )?${property} `), `$1${variable} `);
