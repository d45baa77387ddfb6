import { OCTET_STREAM } from './media-type.js';
import {
  areRelated,
  foldMediaType,
  isMediaTypeOf,
  isOfUnknownForm,
  isProven,
  isRecognised,
  misnamedAs,
} from './media-type-table.js';

const TEXT = 'text/plain';
const XML = 'text/xml';
/** Of these, text has to be in the table: what is shown or played is not just any text. */
const MEDIA = /^(image|audio|video)\//;

/** Text of any kind but HTML, SVG and XHTML, which are in neither line. */
const isText = (type: string) => type === XML || isMediaTypeOf(type, TEXT);

/** Kinds of text that no signature tells from any other; XML has one. */
const isPlainText = (type: string) =>
  isMediaTypeOf(type, TEXT) && !isMediaTypeOf(type, XML) && !MEDIA.test(type);

/** Whether a file of a type may be text or XML without being more. Text has no signature: it is like unknown bytes. */
const mayBe = (type: string, form: string) =>
  !MEDIA.test(type) && ((form === TEXT && !isRecognised(type)) || (form === XML && isOfUnknownForm(type)));

/**
 * The type of a file, of which the bytes show `detected` (null: no signature that Stowage knows), or null when the declaration is
 * wrong. The more exact of the two stands; between types that the bytes cannot tell apart, the declared one. The rules are in
 * docs/security.md, the names in media-types.data.ts.
 */
export function settleMediaType(declared: string, detected: string | null): string | null {
  const promised = foldMediaType(declared);
  if (promised === OCTET_STREAM) return detected === null ? OCTET_STREAM : foldMediaType(detected);
  if (detected === null) return isRecognised(promised) ? null : promised;
  const found = foldMediaType(detected);
  if (found === promised) return found;
  const misnamed = misnamedAs(promised, found);
  if (misnamed !== null) return misnamed;
  if (isMediaTypeOf(promised, found)) return isProven(promised) ? null : promised;
  if (isMediaTypeOf(found, promised)) return found;
  if (areRelated(promised, found)) return promised;
  if (isPlainText(promised)) return isText(found) ? promised : null;
  return mayBe(promised, found) ? promised : null;
}
