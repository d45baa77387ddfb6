import { types } from 'node:util';
import {
  type AssetProperties,
  type DeclaredProperties,
  type FeatureReason,
  lineOf,
  type SanitizedProperties,
  sanitizeDeclared,
  sanitizeProperties,
  VARIANTS_REASONS,
} from '#libs/domain';
import { InspectionFailed } from './inspection-failed.js';
import type { Inspection, InspectionRequest, Objection, RefusalCode, Rendition } from './inspector.js';

/*
 * A process that reads a hostile file may be under the control of that file, so its answer is validated like any other
 * input. The validation cannot detect well-formed lies about the inspected file.
 */

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(; ?[\w=+.,"-]+)*$/;
const MAX_CHARACTERS = 1000;
/** The length of the column. */
const MAX_MESSAGE = 512;
const REFUSALS: readonly RefusalCode[] = ['UNREADABLE', 'TOO_MANY_PIXELS', 'TYPE_MISMATCH'];

const invalidAnswer = () => new InspectionFailed('the inspection process answered nonsense');

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw invalidAnswer();
  return value as Fields;
}

const textOf = (value: unknown) => (typeof value === 'string' ? value.slice(0, MAX_CHARACTERS) : null);

/** @throws InspectionFailed when the value is neither a media type nor null */
export function toDetected(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value !== 'string' || value.length > MAX_CHARACTERS || !MEDIA_TYPE.test(value))
    throw invalidAnswer();
  return value;
}

/** @throws InspectionFailed when the value is neither true nor false */
export function toFlag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw invalidAnswer();
  return value;
}

const isDimension = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;

/** Keeps the properties that are plausible and replaces the others with null. */
function toProperties(value: unknown): AssetProperties {
  const given = fieldsOf(value);
  const takenAt = typeof given.takenAt === 'string' ? new Date(given.takenAt) : null;
  return sanitizeProperties({ ...given, takenAt });
}

function toRenditions(value: unknown, { profiles }: InspectionRequest): Rendition[] {
  if (!Array.isArray(value) || value.length > profiles.length) throw invalidAnswer();
  return value.map((entry): Rendition => {
    const { profile: named, width, height, bytes } = fieldsOf(entry);
    const { name } = fieldsOf(named);
    const profile = profiles.find((wanted) => wanted.name === name);
    if (profile === undefined || !isDimension(width) || !isDimension(height) || !types.isUint8Array(bytes)) {
      throw invalidAnswer();
    }
    return { profile, width, height, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  });
}

function oneOf<T>(known: readonly T[], value: unknown): T {
  const found = known.find((name) => name === value);
  if (found === undefined) throw invalidAnswer();
  return found;
}

function toRefusal(value: unknown): Inspection['refusal'] {
  if (value === null) return null;
  const { code, message } = fieldsOf(value);
  return { code: oneOf(REFUSALS, code), message: textOf(message) ?? '' };
}

/** @throws InspectionFailed when the value is not an answer to this request */
export function toInspection(value: unknown, request: InspectionRequest): Inspection {
  const { detected, properties, renditions, variantsReason, refusal, opaque } = fieldsOf(value);
  return {
    detected: toDetected(detected),
    properties: toProperties(properties),
    renditions: toRenditions(renditions, request),
    variantsReason: variantsReason === null ? null : oneOf(VARIANTS_REASONS, variantsReason),
    refusal: toRefusal(refusal),
    opaque: opaque === null ? null : (textOf(opaque) ?? 'the reason is unknown'),
  };
}

/** @throws InspectionFailed when the value is no object */
export function toFound(value: unknown, declared: DeclaredProperties): SanitizedProperties {
  return sanitizeDeclared(fieldsOf(value), declared);
}

/** @throws InspectionFailed when the value is neither null nor an objection with one of these reasons */
export function toObjection(value: unknown, reasons: readonly FeatureReason[]): Objection | null {
  if (value === null) return null;
  const { reason, message } = fieldsOf(value);
  return {
    reason: oneOf(reasons, reason),
    message: lineOf(message, MAX_MESSAGE) ?? 'The file is not accepted.',
  };
}
