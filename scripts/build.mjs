/** Compiles changed apps and libs to dist/: `npm run build`. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
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
/** Holds the digest of the schemas from which the database client was generated. */
const CLIENT_STAMP_FILE = path.join(ROOT, 'libs/database/src/generated/.schemas');

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

/** Digest of the schemas of the core and of all features in libs/, listed or not, and of the scripts that merge them. */
function digestOfSchemas() {
  const files = [...filesIn('prisma'), ...filesIn('libs')].filter((file) =>
    /(^|\/)prisma\/schema\.prisma$/.test(file),
  );
  const hash = createHash('sha256');
  for (const file of [...files.sort(), ...filesIn('scripts/prisma')])
    hash.update(`${file}\n`).update(readFileSync(path.join(ROOT, file)));
  return hash.digest('hex');
}

const isGenerated = () =>
  existsSync(CLIENT_STAMP_FILE) && readFileSync(CLIENT_STAMP_FILE, 'utf8') === digestOfSchemas();

/** Whether the client and dist/ are up to date. A moved source file keeps its modification time, so the check also looks for its output. */
export function isBuilt() {
  const built = modified(STAMP_FILE);
  return (
    isGenerated() &&
    SETTINGS.every((file) => modified(path.join(ROOT, file)) <= built) &&
    sources().every((file) => modified(path.join(ROOT, file)) <= built && existsSync(outputOfSource(file))) &&
    staleOutputs().length === 0
  );
}

/** Generates the database client and compiles, each only if its inputs have changed. */
export async function build() {
  if (!isGenerated()) {
    const digest = digestOfSchemas();
    const quiet = { PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' };
    await withProgress('Generating the database client', () =>
      quietPackageCommand('prisma', ['generate', '--no-hints'], quiet),
    );
    writeFileSync(CLIENT_STAMP_FILE, digest);
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
