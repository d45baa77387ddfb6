/**
 * The child process that inspects files: one request at a time, until the parent closes the channel. Without a channel,
 * the process only proves that it can be loaded and can enter the spool folder. Arguments: the spool folder, the paths
 * of modules that export more `READERS`, and `serve` if there is a channel.
 */
import { accessSync, constants } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { NO_PROPERTIES, OCTET_STREAM } from '#libs/domain';
import type { Inspection } from '../inspector.js';
import { hasAppendedArchive } from './appended-archive.js';
import { detectInFile, detectType } from './detect-type.js';
import { isOutOfMemory } from './exhaustion.js';
import { runExtension } from './extension.js';
import { FrameReader, toFrame } from './frames.js';
import { type ChildResponse, CHANNEL_FD, type ChildRequest, SERVE } from './messages.js';
import type { FileToRead, Finding, Limits, ReaderEntry } from './reader.js';
import { READERS, readersOf } from './readers/index.js';

const EMPTY: Inspection = {
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

/** Errors of the operating system (missing file, no permission) are not the file's fault. */
const isSystemError = (error: unknown) => error instanceof Error && 'syscall' in error;

async function inspect(
  { detected: detectedInHead, ...file }: Extract<ChildRequest, { kind: 'inspect' }>['file'],
  limits: Limits,
  readers: readonly ReaderEntry[],
): Promise<Inspection> {
  const { size } = await stat(file.path);
  if (size !== file.sizeBytes) throw new Error('the size of the file differs from the request');
  const detected = await detectInFile(file.path, size, detectedInHead);
  let found: Inspection = { ...EMPTY, detected };
  for (const { isGuard, load } of readersOf(detected ?? OCTET_STREAM, readers)) {
    const { read } = await load();
    try {
      const request: FileToRead = { ...file, detected: detected ?? OCTET_STREAM };
      found = merge(found, await read(request, limits));
    } catch (error) {
      if (isGuard === true || isSystemError(error) || isOutOfMemory(error)) throw error;
      // A file that a reader cannot read may still be stored, unless the reader is a guard.
      console.error(error);
    }
    if (found.refusal !== null) break;
  }
  return found;
}

async function answer(question: ChildRequest, readers: readonly ReaderEntry[]): Promise<unknown> {
  switch (question.kind) {
    case 'detect':
      return detectType(question.head, question.sizeBytes);
    case 'detect-archive':
      return hasAppendedArchive(question.tail, question.sizeBytes, question.detected);
    case 'inspect':
      return inspect(question.file, question.limits, readers);
    case 'extension':
      return runExtension(question);
  }
}

const nameOf = (error: unknown) =>
  error instanceof Error ? `${error.name} ${'code' in error ? String(error.code) : ''}`.trim() : 'Error';

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

async function serve(modules: readonly string[], channel: Socket): Promise<void> {
  const send = (message: ChildResponse) => channel.write(toFrame(message));
  const loaded = await Promise.all(
    modules.map((module) => import(module) as Promise<{ READERS: readonly ReaderEntry[] }>),
  );
  const readers = [...READERS, ...loaded.flatMap((module) => module.READERS)];
  const reply = (question: ChildRequest) =>
    answer(question, readers).then(
      (value) => send({ id: question.id, cpuSeconds: cpuSeconds(), value }),
      (error: unknown) => {
        console.error(error);
        send({ id: question.id, cpuSeconds: cpuSeconds(), failed: nameOf(error) });
      },
    );
  // Some libraries (pdf.js) leave rejections for damaged files unhandled, maybe while the next file is being read.
  process.on('unhandledRejection', (error) => console.error(error));
  const frames = new FrameReader(Infinity);
  channel.on('data', (chunk: Buffer) => {
    for (const question of frames.push(chunk)) void reply(question as ChildRequest);
  });
  send({ ready: true });
}

const [spoolFolder = '', ...others] = process.argv.slice(2);
if (others.at(-1) === SERVE) {
  const channel = new Socket({ fd: CHANNEL_FD });
  // The parent is gone. Programs that this process has started are in its group, and must end with it.
  const end = () => {
    try {
      process.kill(0, 'SIGKILL');
    } finally {
      // The first process of a PID namespace cannot kill itself; when it exits, the kernel kills all others.
      process.exit();
    }
  };
  channel.on('error', end).on('end', end);
  await serve(others.slice(0, -1), channel);
} else {
  accessSync(spoolFolder, constants.X_OK);
}
