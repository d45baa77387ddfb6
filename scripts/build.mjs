/** Compiles apps and libs to dist/, when they have changed: `npm run build`. */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { install } from './install.mjs';
import { quietPackageCommand, ROOT, run, withProgress } from './project.mjs';

const HELP = `
Usage: npm run build

Installs the packages when they are missing or have changed, and compiles apps and libs to dist/ when they have changed.
`;
const DIST = path.join(ROOT, 'dist');
/** As old as the moment at which the last complete build began. */
const STAMP_FILE = path.join(DIST, '.built');
const SOURCES = ['apps', 'libs', 'nest-cli.json', 'tsconfig.json', '.swcrc', 'package-lock.json'];
const SCHEMA = path.join(ROOT, 'prisma/schema.prisma');
const CLIENT = path.join(ROOT, 'libs/database/src/generated/client.ts');

const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;

function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true }).map((entry) => ({
    entry,
    file: path.join(entry.parentPath ?? entry.path, entry.name),
  }));
}

/** Folders count too: theirs is the time at which a file was last removed. */
function isBuilt() {
  const built = modified(STAMP_FILE);
  return SOURCES.every((source) => {
    const file = path.join(ROOT, source);
    if (modified(file) > built) return false;
    return !statSync(file).isDirectory() || filesIn(file).every(({ file }) => modified(file) <= built);
  });
}

function removeStale() {
  for (const { file } of filesIn(DIST)) {
    const source = path.join(ROOT, path.relative(DIST, file)).replace(/\.js(\.map)?$/, '.ts');
    if (source.endsWith('.ts') && !existsSync(source)) rmSync(file);
  }
}

/** Generates the database client and compiles, each only when what it is made from has changed. */
export async function build() {
  if (modified(CLIENT) < modified(SCHEMA)) {
    const quiet = { PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' };
    await withProgress('Generating the database client', () =>
      quietPackageCommand('prisma', ['generate', '--no-hints'], quiet),
    );
  }
  if (isBuilt()) return;
  const began = new Date();
  // One build compiles every app and lib (nest-cli.json).
  await withProgress('Compiling apps and libs', () => quietPackageCommand('nest', ['build', 'api']));
  removeStale();
  mkdirSync(DIST, { recursive: true });
  writeFileSync(STAMP_FILE, '');
  utimesSync(STAMP_FILE, began, began);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await run(HELP, async () => {
    await install();
    await build();
  });
}
