import { ApiError } from './errors.js';

/** The fields of an object that a client sends, and how each is checked. */
export type Fields = Record<string, (value: unknown) => boolean>;

export const isText = (value: unknown): value is string => typeof value === 'string';

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

export const isOneOf =
  (...values: unknown[]) =>
  (value: unknown) =>
    values.includes(value);

export const optional = (check: (value: unknown) => boolean) => (value: unknown) =>
  value === undefined || check(value);

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Checks an object that a client sent.
 * @param where prefix of the fields' names in messages
 * @throws {ApiError} invalid, with a message that names the wrong field
 */
export function checkFields(where: string, value: Record<string, unknown>, fields: Fields): void {
  for (const field of Object.keys(value)) {
    if (!Object.hasOwn(fields, field))
      throw new ApiError('invalid', { message: `Unknown field ${where}${field}.` });
  }
  for (const [field, isValid] of Object.entries(fields)) {
    if (!isValid(value[field]))
      throw new ApiError('invalid', { message: `Invalid value for ${where}${field}.` });
  }
}
