/**
 * Removes from node_modules what production does not need: `node scripts/production-packages.mjs`, after `npm ci --omit=dev`. npm
 * leaves there what a package could make use of if it were there (optional peers) and something of development needs:
 * Prisma's command line and TypeScript, with all that these need, which is half of everything.
 */
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));

/** Where `name` is found from a package's folder, as Node.js looks for it; undefined where it is not installed. */
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
