/** Helpers for the scripts that run on any Node.js from version 20, before packages are installed. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
/** The project's Node.js, installed as an npm package. */
export const NODE = path.join(ROOT, 'node_modules/.bin/node');

const MIN_NODE = 20;

/** A failure whose message is printed without a stack trace. */
export class Failure extends Error {}

/** Runs a script's `main` and sets the exit code that it returns; `--help` prints `help` instead. */
export async function run(help, main) {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    console.log(help.trim());
    return;
  }
  try {
    if (Number.parseInt(process.versions.node, 10) < MIN_NODE) {
      throw new Failure(`Stowage needs Node.js ${MIN_NODE} or later; this is ${process.version}`);
    }
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    console.error(error instanceof Failure ? error.message : error);
    process.exitCode = 1;
  }
}

/** Runs a package's command on the project's Node.js with visible output. Returns the exit code. */
export const packageCommand = (name, args, env) => exitOf(spawnPackage(name, args, env, 'inherit'));

/**
 * Runs a package's command on the project's Node.js without visible output.
 * @throws Failure with the output if the command fails
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

/** Runs `act`, which may take minutes. Prints the title, a progress line every 15 seconds, and the duration. */
export async function withProgress(title, act) {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  console.log(`${title} …`);
  const timer = setInterval(() => console.log(`  still running after ${seconds()} s …`), PROGRESS_MS);
  try {
    return await act();
  } finally {
    clearInterval(timer);
    console.log(`  ${seconds()} s`);
  }
}

const LAST_LINES = 60;

/** Collects a child's output. Returns a function that returns the last lines. */
export function outputOf(child) {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  return () => output.trim().split('\n').slice(-LAST_LINES).join('\n');
}

/** Waits until a child has exited and its output is read. Resolves with its exit code; 1 after a signal or a failed start. */
export function exitOf(child) {
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
