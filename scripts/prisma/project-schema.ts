import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mergeSchemas } from './merged-schema.ts';

/** Paths for Prisma's commands. */
interface PrismaPaths {
  /** A schema file, or a folder of schema files. */
  readonly schema: string;
  readonly migrations: string;
}

const schemaOf = (root: string, feature: string) => path.join(root, 'libs', feature, 'prisma/schema.prisma');

/** Names of the features in `libs/` that own tables, whether or not they are listed, in alphabetical order. */
export function featuresWithTables(root: string): string[] {
  return readdirSync(path.join(root, 'libs'))
    .filter((name) => existsSync(schemaOf(root, name)))
    .sort();
}

/**
 * Merges the schemas and migrations of the core and of features into a folder, for Prisma's commands. The folder's files
 * change only if their contents do, so several commands may run at once. Without features, these are the core's own files.
 * @param root folder of the program
 * @param features names of features with tables; default: all in `libs/`, since all of them are compiled
 * @param folder folder for the merged files
 * @throws Error with one sentence if a feature breaks a rule for names or relations
 */
export function projectSchema(
  root: string,
  features: readonly string[] = featuresWithTables(root),
  folder = path.join(root, '.local/prisma'),
): PrismaPaths {
  const core = path.join(root, 'prisma');
  if (features.length === 0) {
    return { schema: path.join(core, 'schema.prisma'), migrations: path.join(core, 'migrations') };
  }
  const merged = mergeSchemas(
    readFileSync(path.join(core, 'schema.prisma'), 'utf8'),
    new Map(features.map((name) => [name, readFileSync(schemaOf(root, name), 'utf8')])),
  );
  const files = new Map([
    ['schema.prisma', withOutput(merged.core, core, folder)],
    ...[...merged.features].map(([name, text]) => [path.join('features', `${name}.prisma`), text] as const),
    ...migrationFiles(path.join(core, 'migrations'), ''),
    ...features.flatMap((name) =>
      migrationFiles(path.join(root, 'libs', name, 'prisma/migrations'), `${name}_`),
    ),
  ]);
  synchronize(folder, files);
  return { schema: folder, migrations: path.join(folder, 'migrations') };
}

/** The generator's output is relative to the folder of the schema. */
function withOutput(schema: string, from: string, to: string): string {
  return schema.replace(/^(\s*output\s*=\s*")([^"]+)"/m, (_all, start: string, output: string) => {
    const target = path.relative(to, path.resolve(from, output));
    return `${start}${target.replaceAll(path.sep, '/')}"`;
  });
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

const migrationFiles = (folder: string, prefix: string) =>
  filesIn(folder).map(
    (file) =>
      [path.join('migrations', prefix + file), readFileSync(path.join(folder, file), 'utf8')] as const,
  );

/** Makes a folder hold exactly these files. Readers never see half a file. */
function synchronize(folder: string, files: ReadonlyMap<string, string>): void {
  const present = filesIn(folder);
  const isUsed = (directory: string) =>
    directory === '.' || [...files.keys()].some((file) => file.startsWith(directory + path.sep));
  for (const file of present.filter((name) => !files.has(name))) {
    // Prisma refuses a folder of migrations in which one has no file.
    const stale = isUsed(path.dirname(file)) ? file : path.dirname(file);
    rmSync(path.join(folder, stale), { recursive: true, force: true });
  }
  const temporary = `${folder}.${process.pid}`;
  for (const [file, text] of files) {
    const target = path.join(folder, file);
    if (present.includes(file) && readFileSync(target, 'utf8') === text) continue;
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(temporary, text);
    renameSync(temporary, target);
  }
}
