import { OCTET_STREAM } from './media-type.js';
import {
  areRelated,
  foldMediaType,
  isMediaTypeOf,
  isOfUnknownForm,
  isProven,
  isRecognised,
  knownConfusionOf,
} from './media-type-table.js';

const TEXT = 'text/plain';
const XML = 'text/xml';
/** Media types cannot be declared for arbitrary text: the tables must list them as text. */
const MEDIA = /^(image|audio|video)\//;

/** Text of any kind except HTML, SVG and XHTML, which the tables list neither as text nor as XML. */
const isText = (type: string) => type === XML || isMediaTypeOf(type, TEXT);

/** Text formats without a signature of their own; XML has one. */
const isPlainText = (type: string) =>
  isMediaTypeOf(type, TEXT) && !isMediaTypeOf(type, XML) && !MEDIA.test(type);

/** Whether a file of a type may look like plain text, which has no signature, or like XML without a specific root. */
const isPossibleForm = (type: string, form: string) =>
  !MEDIA.test(type) && ((form === TEXT && !isRecognised(type)) || (form === XML && isOfUnknownForm(type)));

/**
 * Decides the type of a file from its declared and its detected type. The more specific of the two is returned; of
 * types that the bytes cannot distinguish, the declared one. The rules are in docs/security.md, the names in
 * media-types.data.ts.
 * @param detected type from the bytes; null if they match no known signature
 * @returns null if the bytes contradict the declaration
 */
export function resolveMediaType(declared: string, detected: string | null): string | null {
  const declaredType = foldMediaType(declared);
  if (declaredType === OCTET_STREAM) return detected === null ? OCTET_STREAM : foldMediaType(detected);
  if (detected === null) return isRecognised(declaredType) ? null : declaredType;
  const found = foldMediaType(detected);
  if (found === declaredType) return found;
  const misnamed = knownConfusionOf(declaredType, found);
  if (misnamed !== null) return misnamed;
  if (isMediaTypeOf(declaredType, found)) return isProven(declaredType) ? null : declaredType;
  if (isMediaTypeOf(found, declaredType)) return found;
  if (areRelated(declaredType, found)) return declaredType;
  if (isPlainText(declaredType)) return isText(found) ? declaredType : null;
  return isPossibleForm(declaredType, found) ? declaredType : null;
}
