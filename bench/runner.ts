import { readFile, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as prettier from 'prettier';
import { type Figure, isMet } from './figures.ts';
import type { Measurement } from './measurement.ts';
import { emulatorPut } from './measurements/emulator-put.ts';
import { lists } from './measurements/lists.ts';
import { memory } from './measurements/memory.ts';
import { overload } from './measurements/overload.ts';
import { pipeline } from './measurements/pipeline.ts';
import { reads } from './measurements/reads.ts';
import { requestUpload } from './measurements/request-upload.ts';
import { requestUploads } from './measurements/request-uploads.ts';
import { scanning } from './measurements/scanning.ts';
import { signing } from './measurements/signing.ts';
import { smallFiles } from './measurements/small-files.ts';
import { subscriptions } from './measurements/subscriptions.ts';
import { tasks } from './measurements/tasks.ts';
import { workerMemory } from './measurements/worker-memory.ts';
import { markdownTable, textTable } from './report.ts';
import { Stack } from './stack.ts';

/** Measurements with a worker come first, because a worker would process the uploads that the others leave behind. */
const MEASUREMENTS: readonly Measurement[] = [
  signing,
  pipeline,
  scanning,
  smallFiles,
  workerMemory,
  reads,
  // The last one with a worker, because its backlog would be processed before the files of the next one.
  overload,
  emulatorPut,
  requestUpload,
  requestUploads,
  subscriptions,
  lists,
  memory,
  // The last one, because it removes what the others have stored.
  tasks,
];

const PAGE = path.resolve(import.meta.dirname, '../docs/benchmarks.md');
const FIGURES = /(<!-- figures -->\n)[^]*(\n<!-- \/figures -->)/;

export interface Options {
  /** Parts of the names of measurements. Empty for all of them. */
  readonly names: readonly string[];
  /** File for the raw figures. */
  readonly json?: string;
  /** Whether to write the table to docs/benchmarks.md. */
  readonly write: boolean;
}

/** @throws Error if a measurement failed. A missed target is not an error. */
export async function measure({ names, json, write }: Options): Promise<void> {
  const chosen = MEASUREMENTS.filter(
    ({ name }) => names.length === 0 || names.some((part) => name.includes(part)),
  );
  if (chosen.length === 0) {
    throw new Error(
      `No measurement has such a name; choose from ${MEASUREMENTS.map(({ name }) => name).join(', ')}.`,
    );
  }
  const started = performance.now();
  const figures = await run(chosen);
  const machine = `${os.availableParallelism()} cores, ${os.cpus()[0]?.model ?? 'unknown CPU'}, Node.js ${process.version}`;
  const seconds = Math.round((performance.now() - started) / 1000);
  const missed = figures.filter((figure) => isMet(figure) === false).length;
  console.log(`\n${textTable(figures)}\n\n${machine}; ${seconds} s; targets missed: ${missed}`);
  if (json !== undefined)
    await writeFile(json, JSON.stringify({ machine, seconds, figures }, null, 2) + '\n');
  if (write) await writePage(`${markdownTable(figures)}\n\nMeasured on ${machine}.`);
}

async function run(measurements: readonly Measurement[]): Promise<Figure[]> {
  // Rejects on a signal, so that an interrupted run stops its processes in order.
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => reject(new Error(`Stopped by ${signal}.`)));
    }
  });
  // Avoids an unhandled rejection while the stack starts.
  interrupted.catch(() => undefined);
  const began = performance.now();
  const say = (line: string) =>
    console.log(`${String(Math.round((performance.now() - began) / 1000)).padStart(4)} s  ${line}`);
  say('starting PostgreSQL, the emulators and the api');
  await using stack = await Stack.start();
  const figures: Figure[] = [];
  for (const { name, obstacle, run } of measurements) {
    const why = obstacle?.() ?? null;
    if (why === null) {
      figures.push(...(await Promise.race([run(stack, (doing) => say(`${name}: ${doing}`)), interrupted])));
    } else {
      say(`${name}: NOT MEASURED, ${why}`);
    }
  }
  return figures;
}

async function writePage(table: string): Promise<void> {
  const page = await readFile(PAGE, 'utf8');
  const written = page.replace(FIGURES, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`);
  const options = await prettier.resolveConfig(PAGE);
  await writeFile(PAGE, await prettier.format(written, { ...options, parser: 'markdown' }));
}
