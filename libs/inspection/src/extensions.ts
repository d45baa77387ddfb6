import {
  type DeclaredProperties,
  type DeclaredProperty,
  type FeatureReason,
  REJECTION_CODES,
} from '#libs/domain';
import { modulePath } from './isolation.js';

/** Bounded access of a feature's module to the file that it reads. */
export interface FileAccess {
  readonly sizeBytes: number;
  /** The media type of the asset. Another type may have been declared; the bytes may be hostile whatever the type. */
  readonly mediaType: string;
  /**
   * Reads bytes at an offset: fewer, or none, at the end of the file.
   * @throws RangeError for more than 16 MiB at once, or 1 GiB in all calls for one file
   */
  read(offset: number, length: number): Promise<Buffer>;
}

/**
 * The function `read` that the module of a {@link FileReader} exports. Returns the properties of a file by their declared
 * names. A property that is not found is omitted.
 */
export type ReadFile = (file: FileAccess) => Promise<Readonly<Record<string, unknown>>>;

/**
 * The function `check` that the module of a {@link ContentCheck} exports. Returns null for a file that may be stored, else one
 * of the declared reasons and one line of text for the client.
 */
export type CheckFile = (
  file: FileAccess,
) => Promise<{ readonly reason: string; readonly message: string } | null>;

interface Extension {
  /** Lower case letters, digits and hyphens, at most 24; unique among the readers, or among the checks, of all features. */
  readonly id: string;
  /** From 1 to 99999. A feature raises it when the types change, or the module gives other results for the same bytes. */
  readonly revision: number;
  /** The module, which an isolated process loads, such as `new URL('./readers/gpx.js', import.meta.url)`. */
  readonly module: URL;
  /** Limit of the processor time and of the elapsed time for one file; the configured limit if that is lower. */
  readonly seconds?: number;
}

/**
 * A reader that a feature adds. The stored object keeps the properties, so all assets with these bytes have them. A file
 * without readable properties is stored without them.
 * @example
 * const gpx: FileReader = {
 *   id: 'gpx',
 *   revision: 1,
 *   types: /^(text\/xml|application\/gpx\+xml)$/,
 *   module: new URL('./readers/gpx.js', import.meta.url),
 *   properties: { trackLengthMeters: { type: 'float', min: 0, max: 1e9 } },
 * };
 * // readers/gpx.ts
 * export const read: ReadFile = async (file) => ({
 *   trackLengthMeters: lengthOf((await file.read(0, 16 * 2 ** 20)).toString()),
 * });
 */
export interface FileReader extends Extension {
  /** Media types of the assets whose files are read. */
  readonly types: RegExp;
  readonly properties: DeclaredProperties;
}

/**
 * A check that a feature adds. It runs before an asset becomes READY. An asset whose check fails to run never becomes READY.
 * @example
 * const photos: ContentCheck = {
 *   id: 'photos',
 *   revision: 1,
 *   types: /^image\//,
 *   module: new URL('./checks/photos.js', import.meta.url),
 *   reasons: ['ALBUMS_NOT_A_PHOTO'],
 * };
 * // checks/photos.ts
 * export const check: CheckFile = async (file) =>
 *   (await isPhoto(file)) ? null : { reason: 'ALBUMS_NOT_A_PHOTO', message: 'Only photos are accepted.' };
 */
export interface ContentCheck extends Extension {
  /** Media types of the checked files: of the asset, or as detected from the bytes. */
  readonly types: RegExp;
  /** Stable reasons of rejections: upper snake case, at most 32 characters, prefixed by the name of the feature. */
  readonly reasons: readonly FeatureReason[];
}

/** An extension whose module was found at `path`. */
export type Loadable<T extends Extension> = T & { readonly path: string };

const ID = /^[a-z][a-z0-9-]{0,23}$/;
const PROPERTY = /^[a-z][A-Za-z0-9]{0,31}$/;
const REASON = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$/;
const MAX_REASON = 32;
const MAX_REVISION = 99_999;
const MAX_SECONDS = 3600;
/** The labels of all readers fit into a column of 512 characters. */
const MAX_EXTENSIONS = 16;
const MAX_PROPERTIES = 32;
/** Characters of all texts of one reader, which bounds the properties of a file. */
const MAX_TEXT = 4096;

const isWithin = (value: number, most: number) => Number.isInteger(value) && value >= 1 && value <= most;

/** Names an extension and its revision. */
const labelOf = ({ id, revision }: Pick<Extension, 'id' | 'revision'>) => `${id}@${revision}`;

/** The revisions of extensions by their ids. @param labels extensions, separated by spaces */
function revisionsOf(labels: string): Map<string, number> {
  const named = labels.split(' ').filter((label) => label !== '');
  return new Map(
    named.map((label) => {
      const [id = '', revision] = label.split('@');
      return [id, Number(revision)];
    }),
  );
}

/** The file readers and content checks of all features. Both processes decide with them. */
export class InspectionExtensions {
  readonly readers: readonly Loadable<FileReader>[];
  readonly checks: readonly Loadable<ContentCheck>[];

  /** @throws Error with a message of one sentence if an extension is invalid, or two of a kind have one id */
  constructor({
    readers = [],
    checks = [],
  }: { readonly readers?: readonly FileReader[]; readonly checks?: readonly ContentCheck[] } = {}) {
    this.readers = loadable('file reader', readers);
    this.checks = loadable('content check', checks);
    for (const { id, properties } of readers) verifyProperties(id, properties);
    for (const { id, reasons } of checks) verifyReasons(id, reasons);
  }

  /** Names all readers at their revisions, sorted, in at most 512 characters; empty without readers. */
  get readerLabel(): string {
    return this.readers.map(labelOf).sort().join(' ');
  }

  /** Names of all checks at their revisions, sorted. */
  get checkLabels(): string[] {
    return this.checks.map(labelOf).sort();
  }

  get isEmpty(): boolean {
    return this.readers.length === 0 && this.checks.length === 0;
  }

  /** The paths of all modules. */
  get modules(): string[] {
    return [...this.readers, ...this.checks].map(({ path }) => path);
  }

  /** The readers of an asset's media type. @param known readers, as in {@link readerLabel}, that are left out */
  readersOf(mediaType: string, known = ''): Loadable<FileReader>[] {
    return this.unknownReaders(known).filter(({ types }) => types.test(mediaType));
  }

  /** Whether a label names every reader, at its revision or a later one, which another release of the worker has. */
  areReadersIn(label: string): boolean {
    return this.unknownReaders(label).length === 0;
  }

  /**
   * A label with all readers and with those that it names already, each at the later of its revisions, so that releases
   * with different readers do not undo each other's notes. Names 16 readers at most.
   */
  labelWith(label: string): string {
    const known = revisionsOf(label);
    const own = this.readers.map(({ id, revision }) => ({
      id,
      revision: Math.max(revision, known.get(id) ?? 0),
    }));
    const others = [...known].filter(([id]) => own.every((reader) => reader.id !== id));
    const all = [...own, ...others.map(([id, revision]) => ({ id, revision }))].slice(0, MAX_EXTENSIONS);
    return all.map(labelOf).sort().join(' ');
  }

  private unknownReaders(label: string): Loadable<FileReader>[] {
    const known = revisionsOf(label);
    return this.readers.filter(({ id, revision }) => revision > (known.get(id) ?? 0));
  }

  /** The checks of an asset with this media type and this type detected from its bytes. */
  checksOf(mediaType: string, detected: string | null): Loadable<ContentCheck>[] {
    return this.checks.filter(
      ({ types }) => types.test(mediaType) || (detected !== null && types.test(detected)),
    );
  }
}

function loadable<T extends FileReader | ContentCheck>(
  kind: string,
  extensions: readonly T[],
): Loadable<T>[] {
  if (extensions.length > MAX_EXTENSIONS) {
    throw new Error(
      `There are ${extensions.length} extensions of the kind ${kind}, and ${MAX_EXTENSIONS} are allowed.`,
    );
  }
  const ids = new Set<string>();
  return extensions.map((extension) => {
    const { id, revision, types, module, seconds = 1 } = extension;
    const refuse = (problem: string) => new Error(`The ${kind} ${id} ${problem}.`);
    if (!ID.test(id)) throw refuse('needs an id of at most 24 lower case letters, digits and hyphens');
    if (ids.has(id)) throw refuse('is declared twice');
    ids.add(id);
    if (!isWithin(revision, MAX_REVISION)) throw refuse(`needs a revision from 1 to ${MAX_REVISION}`);
    if (!isWithin(seconds, MAX_SECONDS)) throw refuse(`needs whole seconds from 1 to ${MAX_SECONDS}`);
    // Such an expression remembers the position of its last match, and would miss the next type.
    if (types.global || types.sticky) throw refuse('needs types without the flags g and y');
    const path = modulePath(module);
    if (path === null) throw refuse(`has no module at ${module.href}`);
    return { ...extension, path };
  });
}

function verifyProperties(id: string, properties: DeclaredProperties): void {
  const refuse = (problem: string) => new Error(`The file reader ${id} ${problem}.`);
  const declared = Object.entries(properties);
  if (!isWithin(declared.length, MAX_PROPERTIES)) {
    throw refuse(`needs 1 to ${MAX_PROPERTIES} properties`);
  }
  for (const [name, property] of declared) {
    if (!PROPERTY.test(name)) throw refuse(`needs camel case for the name of its property ${name}`);
    if (!isBounded(property)) throw refuse(`declares no valid type and bounds for its property ${name}`);
  }
  const texts = declared.map(([, property]) => (property.type === 'text' ? property.maxLength : 0));
  if (texts.reduce((sum, length) => sum + length, 0) > MAX_TEXT) {
    throw refuse(`declares texts of more than ${MAX_TEXT} characters in all`);
  }
}

function isBounded(property: DeclaredProperty): boolean {
  switch (property.type) {
    case 'float':
    case 'int':
      return Number.isFinite(property.min) && Number.isFinite(property.max) && property.min <= property.max;
    case 'text':
      return isWithin(property.maxLength, MAX_TEXT);
    case 'boolean':
    case 'instant':
      return true;
    default:
      return false;
  }
}

function verifyReasons(id: string, reasons: readonly string[]): void {
  const refuse = (problem: string) => new Error(`The content check ${id} ${problem}.`);
  if (reasons.length === 0) throw refuse('declares no reasons');
  for (const reason of reasons) {
    if (!REASON.test(reason) || reason.length > MAX_REASON) {
      throw refuse(`needs upper snake case of at most ${MAX_REASON} characters for its reason ${reason}`);
    }
    if (REJECTION_CODES.some((code) => code === reason))
      throw refuse(`declares the reserved reason ${reason}`);
  }
}
