/** What all scripts of the project share. They run on any Node.js from version 20, before anything is installed. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
/** The Node.js that the project runs on; it comes with the packages. */
export const NODE = path.join(ROOT, 'node_modules/.bin/node');

const MIN_NODE = 20;

/** A failure that is said in one sentence, without a stack. */
export class Failure extends Error {}

/** Runs a script's `main` and ends with its exit code; `--help` prints `help` instead. */
export async function run(help, main) {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(help.trim());
    return;
  }
  try {
    if (Number.parseInt(process.versions.node, 10) < MIN_NODE) {
      throw new Failure(
        `Stowage needs Node.js ${MIN_NODE} or later to start, and this is ${process.version}`,
      );
    }
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exitCode = 1;
  }
}

/** Runs a package's command on the project's Node.js, showing what it prints; answers with the exit code. */
export const packageCommand = (name, args, env) => exitOf(spawnPackage(name, args, env, 'inherit'));

/**
 * The same, but shows what it prints only when it fails.
 * @throws Failure then
 */
export async function quietPackageCommand(name, args, env) {
  const child = spawnPackage(name, args, env, 'pipe');
  const output = outputOf(child);
  if ((await exitOf(child)) !== 0) throw new Failure(`${output()}\n${name} ${args.join(' ')} failed.`);
}

function spawnPackage(name, args, env, output) {
  return spawn(path.join(ROOT, 'node_modules/.bin', name), args, {
    cwd: ROOT,
    stdio: ['inherit', output, output],
    env: { ...process.env, PATH: `${path.dirname(NODE)}${path.delimiter}${process.env.PATH}`, ...env },
  });
}

const PROGRESS_MS = 15_000;

/** Does something that may take minutes, and prints what is done, every while that it goes on, and how long it took. */
export async function withProgress(title, act) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  console.log(`${title} …`);
  const timer = setInterval(() => console.log(`  still at it after ${seconds()} s …`), PROGRESS_MS);
  try {
    return await act();
  } finally {
    clearInterval(timer);
    console.log(`  ${seconds()} s`);
  }
}

const LAST_LINES = 60;

/** Collects what a child prints on its pipes; answers with a function that gives its last lines. */
export function outputOf(child) {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  return () => output.trim().split('\n').slice(-LAST_LINES).join('\n');
}

/** The exit code of a child, when all that it printed was read; 1 when a signal ended it or it could not be run. */
export function exitOf(child) {
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
