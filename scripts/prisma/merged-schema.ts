/** The schema of the core or of a feature. */
interface Source {
  readonly owner: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

/** A block of a schema. Offsets refer to the text of the schema. */
interface Block {
  readonly kind: string;
  readonly name: string;
  /** The lines of the block without comments and contents of strings. */
  readonly body: string;
  readonly start: number;
  readonly end: number;
}

interface Field {
  readonly name: string;
  readonly type: string;
  readonly isList: boolean;
  readonly relation?: Relation;
}

/** The attribute `@relation` of a field. */
interface Relation {
  /** The arguments without the contents of strings. */
  readonly args: string;
  readonly start: number;
  readonly name?: string;
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Not a valid name of a feature. */
const CORE = 'the core';
const STRING_OR_COMMENT = /"(?:[^"\\\n]|\\.)*"|\/\/.*|\/\*[\s\S]*?\*\//g;
const BLOCK = /^[ \t]*(\w+)[ \t]+(\w+)[ \t]*\{([^}]*)\}/gm;
const FIELD = /^[ \t]*(\w+)[ \t]+(\w+)(\[\])?(.*)$/gm;
const RELATION = /@relation\(([^)]*)\)/;
const RELATION_NAME = /(?:^|,)\s*(?:name:\s*)?"([^"]*)"/;
const MAP = /@@map\([^)]*\)/;

/**
 * Merges the schema of the core and those of features. Prisma demands both sides of a relation, so each model of the core
 * gets a field for every relation of a feature to it, such as `AlbumItem_asset AlbumItem[]` for `AlbumItem.asset`.
 * Prisma does not export its parser; its commands validate the result.
 * @param core text of the core's schema
 * @param features texts of the features' schemas by name of the feature
 * @returns the texts with both sides of all relations
 * @throws Error with one sentence if a feature breaks a rule for names or relations
 */
export function mergeSchemas(
  core: string,
  features: ReadonlyMap<string, string>,
): { readonly core: string; readonly features: ReadonlyMap<string, string> } {
  const ofCore = sourceOf([CORE, core]);
  const sources = [...features].map(sourceOf);
  sources.forEach(verifyNames);
  const owners = ownersIn([ofCore, ...sources]);
  const toCore: Insertion[] = [];
  const merged = sources.map((source) => {
    const toFeature: Insertion[] = [];
    for (const [model, field] of fieldsOf(source)) {
      if ((owners.get(field.type) ?? source.owner) === source.owner) continue;
      const target = ofCore.blocks.find(({ name }) => name === field.type);
      const at = `${source.owner}: ${model.name}.${field.name}`;
      if (target === undefined)
        throw new Error(`${at} refers to a model or enum of another feature, ${field.type}.`);
      if (target.kind !== 'model') continue;
      const { start, name: given } = verifiedRelation(at, field);
      const name = given ?? `${model.name}_${field.name}`;
      if (given === undefined) toFeature.push({ at: start, text: `"${name}", ` });
      toCore.push({
        at: target.end,
        text: `  ${model.name}_${field.name} ${model.name}[] @relation("${name}")\n`,
      });
    }
    return [source.owner, inserted(source.text, toFeature)] as const;
  });
  return { core: inserted(core, toCore), features: new Map(merged) };
}

/**
 * The names of a feature begin with the name of the feature, with or without its last s: `album_items` of `albums`.
 */
function verifyNames({ owner, text, blocks }: Source): void {
  const words = owner.replace(/s$/, '').split('-');
  const model = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  const table = words.join('_');
  const [models, tables] = [
    new RegExp(`^${model}s?([A-Z0-9][A-Za-z0-9]*)?$`),
    new RegExp(`^${table}s?(_[a-z0-9_]+)?$`),
  ];
  for (const block of blocks) {
    const { kind, name } = block;
    if (kind !== 'model' && kind !== 'enum')
      throw new Error(
        `${owner}: the schema of a feature contains only models and enums, not ${kind} ${name}.`,
      );
    if (!models.test(name))
      throw new Error(`${owner}: the name of ${kind} ${name} must begin with ${model}, as in ${model}Item.`);
    if (!tables.test(mappedName(text, block)))
      throw new Error(
        `${owner}: ${kind} ${name} must be mapped to a name that begins with ${table}, as in @@map("${table}_items").`,
      );
  }
}

/**
 * The owner of each model and enum. Both share one namespace in Prisma; their tables and types share one in PostgreSQL.
 * @throws Error if two sources use one name
 */
function ownersIn(sources: readonly Source[]): Map<string, string> {
  const [owners, mapped] = [new Map<string, string>(), new Map<string, string>()];
  const claim = (names: Map<string, string>, name: string, owner: string) => {
    if (names.has(name)) throw new Error(`${owner}: the name ${name} is already used by ${names.get(name)}.`);
    names.set(name, owner);
  };
  for (const { owner, text, blocks } of sources) {
    for (const block of blocks.filter(({ kind }) => kind === 'model' || kind === 'enum')) {
      claim(owners, block.name, owner);
      claim(mapped, mappedName(text, block), owner);
    }
  }
  return owners;
}

/** A foreign key to the core must never prevent the core from deleting a row. */
function verifiedRelation(at: string, { type, isList, relation }: Field): Relation {
  if (isList || relation === undefined || !/\bfields:/.test(relation.args))
    throw new Error(
      `${at} must be a foreign key: ${type} @relation(fields: […], references: […], onDelete: Cascade).`,
    );
  if (!/\bonDelete:\s*Cascade\b/.test(relation.args))
    throw new Error(
      `${at} must declare onDelete: Cascade, because a feature cannot keep a row of ${type} from being deleted.`,
    );
  return relation;
}

function mappedName(text: string, { name, body, start }: Block): string {
  const map = MAP.exec(body);
  return (
    (map && /"([^"]*)"/.exec(text.slice(start + map.index, start + map.index + map[0].length))?.[1]) ?? name
  );
}

function sourceOf([owner, text]: readonly [string, string]): Source {
  const blocks = [...masked(text).matchAll(BLOCK)].map(
    ({ 0: all, 1: kind = '', 2: name = '', 3: body = '', index }) => {
      const end = index + all.length - 1;
      return { kind, name, body, start: end - body.length, end };
    },
  );
  return { owner, text, blocks };
}

function fieldsOf({ text, blocks }: Source): (readonly [Block, Field])[] {
  return blocks
    .filter(({ kind }) => kind === 'model')
    .flatMap((model) =>
      [...model.body.matchAll(FIELD)].map(
        ({ 0: line, 1: name = '', 2: type = '', 3: list, 4: rest = '', index }) => {
          const start = model.start + index + line.length - rest.length;
          return [
            model,
            { name, type, isList: list !== undefined, relation: relationIn(text, rest, start) },
          ] as const;
        },
      ),
    );
}

/** @param start offset of `attributes` in the text */
function relationIn(text: string, attributes: string, start: number): Relation | undefined {
  const found = RELATION.exec(attributes);
  if (found === null) return undefined;
  const args = found[1] ?? '';
  const at = start + found.index + '@relation('.length;
  return { args, start: at, name: RELATION_NAME.exec(text.slice(at, at + args.length))?.[1] };
}

/** Replaces comments and the contents of strings by spaces. Offsets stay. */
const masked = (text: string) =>
  text.replaceAll(STRING_OR_COMMENT, (token) =>
    token.startsWith('"') ? `"${' '.repeat(token.length - 2)}"` : token.replaceAll(/[^\n]/g, ' '),
  );

/** Inserts texts at offsets. Texts at one offset keep their order. */
function inserted(text: string, insertions: readonly Insertion[]): string {
  return insertions
    .toSorted((a, b) => a.at - b.at)
    .reduceRight((result, { at, text: more }) => result.slice(0, at) + more + result.slice(at), text);
}
