import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';

const ROOT = path.resolve(import.meta.dirname, '../..');
const FOLDERS = ['apps', 'bench', 'docs', 'examples', 'libs', 'prisma', 'scripts', 'test'];
/** Generated, or quotes of programs. */
const EXEMPT = /\/generated\/|^docs\/invariants\.md$|^test\/shape\/prose\.spec\.ts$/;

/** A subject that the reader has to guess, unless the sentence is a question. */
const VAGUE_SUBJECT = /^(What|Whoever|Who|Nobody|Nothing|Whatever)\b(?![^.]*\?)/;

/** Identifiers that CONTRIBUTING.md replaced by the field's terms. */
const RETIRED =
  /\b(Adoptions|Arrivals|AssetTwin|Corroborat\w*|DatabaseSigns|Deeds|Examination|Garbled|Intake|QueueSigns|Rederivation|Revival|SpoolRoom|Tickets|Unbelievable|WorkerDeaths|isCorroborated|settleJob|twinSql)\b/;

const filesIn = (folder: string): string[] =>
  readdirSync(path.join(ROOT, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .filter((file) => !EXEMPT.test(file));

const topLevel = readdirSync(ROOT).filter((file) => /\.(md|mjs|json|yml)$|^Dockerfile$/.test(file));
const files = [...FOLDERS.flatMap(filesIn), ...topLevel.filter((file) => file !== 'package-lock.json')];
const code = files.filter((file) => /\.(ts|mjs|js|prisma)$/.test(file));
const documents = files.filter((file) => file.endsWith('.md'));

/** Comments of a source file, each run of comment lines as one text. */
function commentsOf(source: string): string[] {
  const texts: string[] = [];
  let isOpen = false;
  for (const line of source.split('\n')) {
    const found = /^\s*(?:\/\*\*?|\*(?!\/)|\/\/\/?)\s?(.*?)(?:\*\/)?$/.exec(line)?.[1] ?? null;
    if (found === null) isOpen = false;
    else if (isOpen && !/^\s*\/\*/.test(line)) texts.push(`${texts.pop()} ${found.trim()}`);
    else texts.push(found.trim());
    if (found !== null) isOpen = !line.trimEnd().endsWith('*/');
  }
  return texts;
}

/** Paragraphs, list items and table cells of a document, without code. */
const paragraphsOf = (text: string) =>
  text
    .replaceAll(/```[^]*?```/g, '')
    .split(/\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.)\s)|\|/)
    .map((paragraph) =>
      paragraph
        .replaceAll(/\s+/g, ' ')
        .replace(/^\s*(?:[-*#]+|\d+\.)\s*/, '')
        .trim(),
    );

/** Sentences, also those behind a colon or a block tag. */
const sentencesOf = (text: string) => text.split(/(?<=[.!?:;])\s+|@\w+\s+/).map((part) => part.trim());

const vagueIn = (texts: readonly string[]) =>
  texts.flatMap(sentencesOf).filter((sentence) => VAGUE_SUBJECT.test(sentence));

describe('prose', () => {
  it('names the subject of each sentence in comments', () => {
    const found = code.flatMap((file) =>
      vagueIn(commentsOf(readFileSync(path.join(ROOT, file), 'utf8'))).map((text) => `${file}: ${text}`),
    );
    expect(found).toEqual([]);
  });

  it('names the subject of each sentence in documents', () => {
    const found = documents.flatMap((file) =>
      vagueIn(paragraphsOf(readFileSync(path.join(ROOT, file), 'utf8'))).map((text) => `${file}: ${text}`),
    );
    expect(found).toEqual([]);
  });

  it('uses no retired identifiers', () => {
    const found = [...code, ...documents].filter((file) =>
      RETIRED.test(readFileSync(path.join(ROOT, file), 'utf8')),
    );
    expect(found).toEqual([]);
  });
});

describe('the check of sentences', () => {
  it.each([
    ['/** What is seen of the queue. */', ['What is seen of the queue.']],
    ['// Retry later. Nobody waits for it.', ['Nobody waits for it.']],
    ['/**\n * The row.\n * @returns Whatever there is\n */', ['Whatever there is']],
    ['// What if the lock is lost?', []],
    ['// The caller decides what is retried.', []],
    ["const text = 'What is code';", []],
  ])('finds in %j: %j', (source, vague) => {
    expect(vagueIn(commentsOf(source))).toEqual(vague);
  });
});
