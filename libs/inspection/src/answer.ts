import { types } from 'node:util';
import { type AssetProperties, soundProperties, VARIANTS_REASONS, type VariantsReason } from '#libs/domain';
import { InspectionFailed } from './inspection-failed.js';
import type { Inspection, InspectionRequest, RefusalCode, Rendition } from './inspector.js';

/*
 * A process that read a hostile file may be the file's by now: what it says is input like any other. It can still lie, about the
 * files that it is asked about.
 */

const MEDIA_TYPE = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(; ?[\w=+.,"-]+)*$/;
const MAX_CHARACTERS = 1000;
const REFUSALS: readonly RefusalCode[] = ['UNREADABLE', 'TOO_MANY_PIXELS', 'TYPE_MISMATCH'];

const senseless = () => new InspectionFailed('the process that looked into the file answered nonsense');

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(value: unknown): Fields {
  if (typeof value !== 'object' || value === null) throw senseless();
  return value as Fields;
}

const textOf = (value: unknown) => (typeof value === 'string' ? value.slice(0, MAX_CHARACTERS) : null);

/** @throws InspectionFailed when it is neither a media type nor null */
export function toDetected(value: unknown): string | null {
  if (value === null) return null;
  if (typeof value !== 'string' || value.length > MAX_CHARACTERS || !MEDIA_TYPE.test(value))
    throw senseless();
  return value;
}

/** @throws InspectionFailed when it is neither true nor false */
export function toFlag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw senseless();
  return value;
}

const isDimension = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0;

/** What of it can be true; the rest was not found. */
function toProperties(value: unknown): AssetProperties {
  const given = fieldsOf(value);
  const takenAt = typeof given.takenAt === 'string' ? new Date(given.takenAt) : null;
  return soundProperties({ ...given, takenAt });
}

function toRenditions(value: unknown, { profiles }: InspectionRequest): Rendition[] {
  if (!Array.isArray(value) || value.length > profiles.length) throw senseless();
  return value.map((entry): Rendition => {
    const { profile: named, width, height, bytes } = fieldsOf(entry);
    const { name } = fieldsOf(named);
    const profile = profiles.find((wanted) => wanted.name === name);
    if (profile === undefined || !isDimension(width) || !isDimension(height) || !types.isUint8Array(bytes)) {
      throw senseless();
    }
    return { profile, width, height, bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
  });
}

function toVariantsReason(value: unknown): VariantsReason | null {
  if (value === null) return null;
  const known = VARIANTS_REASONS.find((name) => name === value);
  if (known === undefined) throw senseless();
  return known;
}

function toRefusal(value: unknown): Inspection['refusal'] {
  if (value === null) return null;
  const { code, message } = fieldsOf(value);
  const known = REFUSALS.find((name) => name === code);
  if (known === undefined) throw senseless();
  return { code: known, message: textOf(message) ?? '' };
}

/** @throws InspectionFailed when it is not an inspection of what was asked about */
export function toInspection(value: unknown, request: InspectionRequest): Inspection {
  const { detected, properties, renditions, variantsReason, refusal, opaque } = fieldsOf(value);
  return {
    detected: toDetected(detected),
    properties: toProperties(properties),
    renditions: toRenditions(renditions, request),
    variantsReason: toVariantsReason(variantsReason),
    refusal: toRefusal(refusal),
    opaque: opaque === null ? null : (textOf(opaque) ?? 'of unknown reason'),
  };
}
