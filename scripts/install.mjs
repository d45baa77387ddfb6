import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { exitOf, Failure, NODE, outputOf, ROOT } from './project.mjs';

const LOCK_FILE = path.join(ROOT, 'package-lock.json');
/** Written by npm when an installation is complete. */
const INSTALLED_LOCK_FILE = path.join(ROOT, 'node_modules/.package-lock.json');
/** Names the lock file that was installed last, by its hash. */
const STAMP_FILE = path.join(ROOT, 'node_modules/.stowage-installed');
const PROGRESS_MS = 15_000;

const lockHash = () => createHash('sha256').update(readFileSync(LOCK_FILE)).digest('hex');
const modified = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs;

function isInstalled() {
  const installed = modified(INSTALLED_LOCK_FILE);
  if (installed === undefined || !existsSync(NODE)) return false;
  if (existsSync(STAMP_FILE) && readFileSync(STAMP_FILE, 'utf8') === lockHash()) return true;
  // Somebody ran npm by hand, after the lock file had changed for the last time.
  return installed >= modified(LOCK_FILE);
}

/** Installs the packages when they are missing or the lock file has changed since. */
export async function install() {
  if (isInstalled()) return;
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  console.log('Installing packages; the first time this takes about a minute …');
  const timer = setInterval(() => console.log(`  still installing (${seconds()} s) …`), PROGRESS_MS);
  // Inside `npm start` this is the npm that runs it, wherever it is.
  const [command, ...first] = process.env.npm_execpath
    ? [process.execPath, process.env.npm_execpath]
    : ['npm'];
  const npm = spawn(command, [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = outputOf(npm);
  const code = await exitOf(npm);
  clearInterval(timer);
  if (code !== 0) throw new Failure(`${output()}\nThe packages could not be installed.`);
  if (!existsSync(NODE)) {
    throw new Failure(
      'npm left out install scripts, and the packages need theirs: npm ci --ignore-scripts=false',
    );
  }
  writeFileSync(STAMP_FILE, lockHash());
  console.log(`Installed in ${seconds()} s.`);
}
