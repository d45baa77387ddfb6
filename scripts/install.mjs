import { spawn } from 'node:child_process';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { exitOf, Failure, NODE, outputOf, ROOT, withProgress } from './project.mjs';

const LOCK_FILE = path.join(ROOT, 'package-lock.json');
const MODULES = path.join(ROOT, 'node_modules');
/** npm writes this list of installed packages when an installation is complete. */
const INSTALLED_LOCK_FILE = path.join(MODULES, '.package-lock.json');

/** Packages by their folder, without the project itself, whose folder is the empty string. */
function packagesIn(file) {
  const packages = new Map(Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages));
  packages.delete('');
  return packages;
}

/** Compares versions, not file times, which a checkout changes. Optional packages for other platforms may be missing. */
function isInstalled() {
  if (!existsSync(INSTALLED_LOCK_FILE) || !existsSync(NODE)) return false;
  const [wanted, installed] = [LOCK_FILE, INSTALLED_LOCK_FILE].map(packagesIn);
  const isUpToDate = ([folder, { version, optional, devOptional }]) =>
    installed.has(folder) ? installed.get(folder).version === version : Boolean(optional || devOptional);
  return [...wanted].every(isUpToDate) && [...installed.keys()].every((folder) => wanted.has(folder));
}

/** Installs the packages if they are missing or the lock file has changed. */
export async function install() {
  if (isInstalled()) return;
  if (lstatSync(MODULES, { throwIfNoEntry: false })?.isSymbolicLink()) {
    // npm ci would empty the link's target, which may belong to another checkout.
    throw new Failure(
      `${MODULES} is a link and does not hold the packages of package-lock.json; remove the link`,
    );
  }
  // Inside `npm start`, npm_execpath is the path of the running npm.
  const [command, ...first] = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const npm = spawn(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = outputOf(npm);
  const code = await withProgress('Installing packages (about a minute the first time)', () => exitOf(npm));
  if (code !== 0) throw new Failure(`${output()}\nThe packages could not be installed.`);
  if (!existsSync(NODE)) {
    throw new Failure(
      'npm skipped the install scripts that the packages need. Run: npm ci --ignore-scripts=false',
    );
  }
}
