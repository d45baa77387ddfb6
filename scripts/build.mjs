/** Compiles changed apps and libs to dist/: `npm run build`. */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { install } from './install.mjs';
import { quietPackageCommand, ROOT, run, withProgress } from './project.mjs';

const HELP = `
Usage: npm run build

Installs packages that are missing or have changed, and compiles apps and libs to dist/ if they have changed.
`;
const DIST = path.join(ROOT, 'dist');
/** Its modification time is the start of the last complete build. */
const STAMP_FILE = path.join(DIST, '.built');
const SOURCE_FOLDERS = ['apps', 'libs'];
const FEATURES = 'stowage.features.ts';
const SETTINGS = ['nest-cli.json', 'tsconfig.json', '.swcrc', 'package-lock.json'];
const SCHEMA = path.join(ROOT, 'prisma/schema.prisma');
const CLIENT = path.join(ROOT, 'libs/database/src/generated/client.ts');

const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;

function filesIn(folder) {
  return readdirSync(path.join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath ?? entry.path, entry.name)));
}

const isCompiled = (file) => file.endsWith('.ts') && !/\.(spec|d)\.ts$/.test(file);
const sources = () => [...SOURCE_FOLDERS.flatMap(filesIn).filter(isCompiled), FEATURES];
const outputOfSource = (source) => path.join(DIST, source.replace(/\.ts$/, '.js'));

/** Compiled files whose source was removed. */
function staleOutputs() {
  if (!existsSync(DIST)) return [];
  return filesIn('dist').filter((output) => {
    const source = path.relative('dist', output).replace(/\.js(\.map)?$/, '.ts');
    return isCompiled(source) && !existsSync(path.join(ROOT, source));
  });
}

/** Whether dist/ is up to date. A moved source file keeps its modification time, so the check also looks for its output. */
export function isBuilt() {
  const built = modified(STAMP_FILE);
  return (
    SETTINGS.every((file) => modified(path.join(ROOT, file)) <= built) &&
    sources().every((file) => modified(path.join(ROOT, file)) <= built && existsSync(outputOfSource(file))) &&
    staleOutputs().length === 0
  );
}

/** Generates the database client and compiles, each only if its inputs have changed. */
export async function build() {
  if (modified(CLIENT) < modified(SCHEMA)) {
    const quiet = { PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' };
    await withProgress('Generating the database client', () =>
      quietPackageCommand('prisma', ['generate', '--no-hints'], quiet),
    );
  }
  if (isBuilt()) return;
  const began = new Date();
  // Building one app compiles all apps and libs (nest-cli.json).
  await withProgress('Compiling apps and libs', () => quietPackageCommand('nest', ['build', 'api']));
  for (const output of staleOutputs()) rmSync(path.join(ROOT, output));
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
