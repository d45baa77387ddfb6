/**
 * The process that looks into files: one task at a time, for as long as its parent is there. Started without a channel it only
 * shows that it can be loaded and can get at the spool folder. Arguments: that folder; modules whose `READERS` look into files as well;
 * `serve` when there is a channel.
 */
import { accessSync, constants } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { NO_PROPERTIES, OCTET_STREAM } from '#libs/domain';
import type { Inspection } from '../inspector.js';
import { hasAppendedArchive } from './appended-archive.js';
import { detectInFile, detectType } from './detect-type.js';
import { isExhaustion } from './exhaustion.js';
import { FrameReader, toFrame } from './frames.js';
import { type Answer, CHANNEL_FD, type Question, SERVE } from './messages.js';
import type { FileToRead, Finding, Limits, ReaderEntry } from './reader.js';
import { READERS, readersOf } from './readers/index.js';

const NOTHING: Inspection = {
  detected: null,
  properties: NO_PROPERTIES,
  renditions: [],
  variantsReason: null,
  refusal: null,
  opaque: null,
};

const merge = (found: Inspection, finding: Finding): Inspection => ({
  detected: finding.detected ?? found.detected,
  properties: { ...found.properties, ...finding.properties },
  renditions: [...found.renditions, ...(finding.renditions ?? [])],
  variantsReason: found.variantsReason ?? finding.variantsReason ?? null,
  refusal: found.refusal ?? finding.refusal ?? null,
  opaque: found.opaque ?? finding.opaque ?? null,
});

/** What the operating system says: no file, no right. That is no property of the file. */
const isOfTheSystem = (error: unknown) => error instanceof Error && 'syscall' in error;

async function inspect(
  { detected: shown, ...file }: Extract<Question, { kind: 'inspect' }>['file'],
  limits: Limits,
  readers: readonly ReaderEntry[],
): Promise<Inspection> {
  const { size } = await stat(file.path);
  if (size !== file.sizeBytes) throw new Error('the file has another size');
  const detected = await detectInFile(file.path, size, shown);
  let found: Inspection = { ...NOTHING, detected };
  for (const { isGuard, load } of readersOf(detected ?? OCTET_STREAM, readers)) {
    const { read } = await load();
    try {
      const request: FileToRead = { ...file, detected: detected ?? OCTET_STREAM };
      found = merge(found, await read(request, limits));
    } catch (error) {
      if (isGuard === true || isOfTheSystem(error) || isExhaustion(error)) throw error;
      // Unreadable is not unacceptable.
      console.error(error);
    }
    if (found.refusal !== null) break;
  }
  return found;
}

async function answer(question: Question, readers: readonly ReaderEntry[]): Promise<unknown> {
  switch (question.kind) {
    case 'detect':
      return detectType(question.head);
    case 'detect-archive':
      return hasAppendedArchive(question.tail, question.sizeBytes, question.detected);
    case 'inspect':
      return inspect(question.file, question.limits, readers);
  }
}

const nameOf = (error: unknown) =>
  error instanceof Error ? `${error.name} ${'code' in error ? String(error.code) : ''}`.trim() : 'Error';

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function serve(modules: readonly string[], channel: Socket): Promise<void> {
  const say = (said: Answer) => channel.write(toFrame(said));
  const more = await Promise.all(
    modules.map((module) => import(module) as Promise<{ READERS: readonly ReaderEntry[] }>),
  );
  const readers = [...READERS, ...more.flatMap((module) => module.READERS)];
  const reply = (question: Question) =>
    answer(question, readers).then(
      (value) => say({ id: question.id, cpuSeconds: cpuSeconds(), value }),
      (error: unknown) => {
        console.error(error);
        say({ id: question.id, cpuSeconds: cpuSeconds(), failed: nameOf(error) });
      },
    );
  // Libraries leave some errors of damaged files to nobody (pdf.js does), and the next file may be under way then.
  process.on('unhandledRejection', (error) => console.error(error));
  const frames = new FrameReader(Infinity);
  channel.on('data', (chunk: Buffer) => {
    for (const question of frames.push(chunk)) void reply(question as Question);
  });
  say({ ready: true });
}

const [spoolFolder = '', ...others] = process.argv.slice(2);
if (others.at(-1) === SERVE) {
  const channel = new Socket({ fd: CHANNEL_FD });
  // Whoever asked is gone. What this process has started goes with it: it leads their group.
  const end = () => {
    try {
      process.kill(0, 'SIGKILL');
    } finally {
      // The first process of a PID namespace cannot kill itself; the kernel ends all others with it.
      process.exit();
    }
  };
  channel.on('error', end).on('end', end);
  await serve(others.slice(0, -1), channel);
} else {
  accessSync(spoolFolder, constants.X_OK);
}
