import { isRecordable } from './local-date-time.js';
import { lineOf } from './properties.js';

/** The type and the bounds of a property that a file reader of a feature finds. */
export type DeclaredProperty =
  | { readonly type: 'float' | 'int'; readonly min: number; readonly max: number }
  | { readonly type: 'boolean' }
  /** One line of at most `maxLength` characters. */
  | { readonly type: 'text'; readonly maxLength: number }
  /** An instant in UTC, `2026-01-31T12:00:00.000Z`. */
  | { readonly type: 'instant' };

/** The declared properties of a file reader by their names. */
export type DeclaredProperties = Readonly<Record<string, DeclaredProperty>>;

/** The properties that one file reader found in a file. */
export type FoundProperties = Readonly<Record<string, string | number | boolean>>;

/** The properties that the readers of features found in a file, by the id of the reader. */
export type FeatureProperties = Readonly<Record<string, FoundProperties>>;

/** Properties that fit their declaration, and how many others were dropped. */
export interface SanitizedProperties {
  readonly properties: FoundProperties;
  readonly dropped: number;
}

const UTC_INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/;

function instantOf(value: unknown): string | null {
  if (typeof value !== 'string' || !UTC_INSTANT.test(value)) return null;
  const instant = new Date(value);
  return !Number.isNaN(instant.getTime()) && isRecordable(instant) ? instant.toISOString() : null;
}

function valueOf(value: unknown, declared: DeclaredProperty): string | number | boolean | null {
  switch (declared.type) {
    case 'float':
    case 'int': {
      const isNumber = declared.type === 'int' ? Number.isSafeInteger(value) : typeof value === 'number';
      return isNumber && Number(value) >= declared.min && Number(value) <= declared.max
        ? Number(value)
        : null;
    }
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'text':
      return lineOf(value, declared.maxLength);
    case 'instant':
      return instantOf(value);
  }
}

/**
 * Keeps the values that have the declared type and bounds, from an untrusted process. A value that is null or undefined
 * counts as not found; all other values are dropped.
 */
export function sanitizeDeclared(found: object, declared: DeclaredProperties): SanitizedProperties {
  const given = Object.entries(found).filter(([, value]) => value !== null && value !== undefined);
  const kept = given.flatMap(([name, value]) => {
    const property = Object.hasOwn(declared, name) ? declared[name] : undefined;
    const sound = property === undefined ? null : valueOf(value, property);
    return sound === null ? [] : [[name, sound] as const];
  });
  return { properties: Object.fromEntries(kept), dropped: given.length - kept.length };
}
