import { ApiError } from './errors.js';

/** What a request demands of the object it is about to read or replace. 0 as `generationMatch` means: there is none. */
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

/** A non-negative integer of a request, or undefined when it is not there. */
export function integerOf(read: Source, name: string): number | undefined {
  const value = read(name);
  if (value === null || value === undefined) return undefined;
  const number = Number(value);
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number)) {
    throw new ApiError('invalid', { message: `Invalid value for ${name}: it is not an unsigned integer.` });
  }
  return number;
}

/** The four conditions as query parameters of the JSON API; `source` picks those of a copy's source. */
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

/** The two conditions the XML API takes as headers. */
export function headerConditions(header: (name: string) => string | undefined): Conditions {
  return {
    generationMatch: integerOf(header, 'x-goog-if-generation-match'),
    metagenerationMatch: integerOf(header, 'x-goog-if-metageneration-match'),
  };
}

/**
 * Throws 412 when a condition does not hold for what is there now. A read whose negative condition fails is not refused but
 * told that nothing changed (304).
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
