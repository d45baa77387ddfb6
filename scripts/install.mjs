import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { exitOf, Failure, NODE, outputOf, ROOT, withProgress } from './project.mjs';

const LOCK_FILE = path.join(ROOT, 'package-lock.json');
const MODULES = path.join(ROOT, 'node_modules');
/** Written by npm when an installation is complete: what it has put there. */
const INSTALLED_LOCK_FILE = path.join(MODULES, '.package-lock.json');

/** Packages by their folder; the project itself, which has the empty name, is none. */
function packagesIn(file) {
  const packages = new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages));
  packages.delete('');
  return packages;
}

/** By what is there, not by times, which a checkout changes. Packages for other platforms are not there. */
function isInstalled() {
  if (!existsSync(INSTALLED_LOCK_FILE) || !existsSync(NODE)) return false;
  const [wanted, installed] = [LOCK_FILE, INSTALLED_LOCK_FILE].map(packagesIn);
  const isThere = ([folder, { version, optional, devOptional }]) =>
    installed.has(folder) ? installed.get(folder).version === version : Boolean(optional || devOptional);
  return [...wanted].every(isThere) && [...installed.keys()].every((folder) => wanted.has(folder));
}

/** Installs the packages when they are missing or the lock file has changed since. */
export async function install() {
  if (isInstalled()) return;
  if (lstatSync(MODULES, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci would empty the folder that it leads to, which belongs to somebody else.
    throw new Failure(
      `${MODULES} is a link and does not hold the packages of package-lock.json; remove the link`,
    );
  }
  // Inside `npm start` this is the npm that runs it, wherever it is.
  const [command, ...first] = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const npm = spawn(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = outputOf(npm);
  const code = await withProgress('Installing packages; the first time this takes about a minute', () =>
    exitOf(npm),
  );
  if (code !== 0) throw new Failure(`${output()}\nThe packages could not be installed.`);
  if (!existsSync(NODE)) {
    throw new Failure(
      'npm left out install scripts, and the packages need theirs: npm ci --ignore-scripts=false',
    );
  }
}
