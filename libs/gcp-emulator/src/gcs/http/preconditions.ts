import { ApiError } from './errors.js';

/** Conditions on the object that a request reads or replaces. A `generationMatch` of 0 requires that none exists. */
export interface Conditions {
  generationMatch?: number;
  generationNotMatch?: number;
  metagenerationMatch?: number;
  metagenerationNotMatch?: number;
}

interface Versioned {
  generation: number;
  metageneration: number;
}

type Source = (name: string) => string | null | undefined;

/**
 * Reads a non-negative integer of a request; undefined when it is missing.
 * @throws {ApiError} invalid
 */
export function integerOf(read: Source, name: string): number | undefined {
  const value = read(name);
  if (value === null || value === undefined) return undefined;
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) {
    throw new ApiError('invalid', { message: `Invalid value for ${name}: it is not an unsigned integer.` });
  }
  return number;
}

/** Reads the four conditions of the JSON API's query. `source` selects those on the source of a copy. */
export function queryConditions(query: URLSearchParams, source = false): Conditions {
  const read = (name: string) => query.get(name);
  const prefix = source ? 'ifSource' : 'if';
  return {
    generationMatch: integerOf(read, `${prefix}GenerationMatch`),
    generationNotMatch: integerOf(read, `${prefix}GenerationNotMatch`),
    metagenerationMatch: integerOf(read, `${prefix}MetagenerationMatch`),
    metagenerationNotMatch: integerOf(read, `${prefix}MetagenerationNotMatch`),
  };
}

/** Reads the two conditions that the XML API takes as headers. */
export function headerConditions(header: (name: string) => string | undefined): Conditions {
  return {
    generationMatch: integerOf(header, 'x-goog-if-generation-match'),
    metagenerationMatch: integerOf(header, 'x-goog-if-metageneration-match'),
  };
}

/**
 * Checks the conditions against the current object.
 * @throws {ApiError} preconditionFailed (412), or notModified (304) when a negative condition of a read does not hold
 */
export function checkConditions(
  conditions: Conditions,
  current: Versioned | undefined,
  purpose: 'read' | 'write' = 'write',
): void {
  const { generationMatch, generationNotMatch, metagenerationMatch, metagenerationNotMatch } = conditions;
  const generation = current?.generation ?? 0;
  if (generationMatch !== undefined && generationMatch !== generation)
    throw new ApiError('preconditionFailed');
  if (metagenerationMatch !== undefined && metagenerationMatch !== current?.metageneration) {
    throw new ApiError('preconditionFailed');
  }
  const unwanted =
    (generationNotMatch !== undefined && generationNotMatch === generation) ||
    (metagenerationNotMatch !== undefined && metagenerationNotMatch === current?.metageneration);
  if (unwanted) throw new ApiError(purpose === 'read' ? 'notModified' : 'preconditionFailed');
}
