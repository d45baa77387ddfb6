/**
 * Removes packages from node_modules that production does not need: `node scripts/production-packages.mjs`, after
 * `npm ci --omit=dev`. npm keeps optional peer dependencies that development also needs: Prisma's command line and TypeScript
 * with their dependencies, half of all installed files.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));

/** The folder in which Node.js finds package `name` from a package's folder; undefined if it is not installed. */
function resolve(from, name) {
  for (let folder = from; ; folder = path.posix.dirname(folder)) {
    const found = path.posix.join(folder === '.' ? '' : folder, 'node_modules', name);
    if (found in packages) return found;
    if (folder === '' || folder === '.') return undefined;
  }
}

function needsOf({ dependencies, optionalDependencies, peerDependencies = {}, peerDependenciesMeta = {} }) {
  const peers = Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional);
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
}

const needed = new Set(['']);
for (const folder of needed) {
  for (const name of needsOf(packages[folder])) {
    const found = resolve(folder, name);
    if (found !== undefined) needed.add(found);
  }
}
for (const folder of Object.keys(packages)) {
  const isInside = [...needed].some((other) => other.startsWith(`${folder}/`));
  if (!needed.has(folder) && !isInside) rmSync(folder, { recursive: true, force: true });
}
