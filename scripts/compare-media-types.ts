/**
 * Compares the media type tables with Debian's package shared-mime-info and prints missing aliases, missing parents, and file
 * extensions whose formats are refused: `npm run media-types`, after a build.
 */
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { supportedMimeTypes } from 'file-type';
import { built, run } from './command.ts';

const DATABASE = '/usr/share/mime/packages/freedesktop.org.xml';
const HELP = `
Usage: npm run media-types

Compares the media type tables with Debian's package shared-mime-info and prints the differences. Needs a build.
`;

interface Registered {
  readonly type: string;
  readonly aliases: readonly string[];
  readonly parents: readonly string[];
  readonly endings: readonly string[];
}

const attributes = (xml: string, element: string, attribute: string) =>
  [...xml.matchAll(new RegExp(`<${element}\\b[^>]*\\b${attribute}="([^"]+)"`, 'g'))].map(([, value]) =>
    value!.toLowerCase(),
  );

const registeredIn = (xml: string): Registered[] =>
  [...xml.matchAll(/<mime-type type="([^"]+)">([\s\S]*?)<\/mime-type>/g)].map(([, type, body]) => ({
    type: type!.toLowerCase(),
    aliases: attributes(body!, 'alias', 'type'),
    parents: attributes(body!, 'sub-class-of', 'type'),
    endings: attributes(body!, 'glob', 'pattern').flatMap((glob) => /^\*\.([^*?[]+)$/.exec(glob)?.[1] ?? []),
  }));

/** The type that detection reports for files of a type: plain text for every type derived from it. */
const shownBy = ({ type, parents }: Registered) => (parents.includes('text/plain') ? 'text/plain' : type);

function report(title: string, rows: readonly string[]): void {
  console.log(`${title}: ${rows.length}`);
  for (const row of rows.toSorted()) console.log(`  ${row}`);
}

await run(HELP, async () => {
  const xml = await readFile(DATABASE, 'utf8').catch(() => null);
  if (xml === null) {
    console.log(`${DATABASE} does not exist. On Debian, install it with: apt-get install shared-mime-info`);
    return;
  }
  const { foldMediaType, resolveMediaType } = await built(() => import('#libs/domain'));
  const registered = registeredIn(xml);
  const detected = new Set([...supportedMimeTypes, 'text/plain', 'text/xml'].map(foldMediaType));
  const isRefused = (declared: string, found: string) =>
    detected.has(foldMediaType(found)) && resolveMediaType(declared, found) === null;
  report(
    'aliases that the tables treat as another type',
    registered.flatMap(({ type, aliases }) =>
      aliases
        .filter((alias) => foldMediaType(alias) !== foldMediaType(type))
        .map((alias) => `${alias} = ${type}${isRefused(alias, type) ? ', refused' : ''}`),
    ),
  );
  report(
    'types refused if detection reports only their parent (intended for types with proof and for executable types)',
    registered.flatMap(({ type, parents }) =>
      parents.filter((parent) => isRefused(type, parent)).map((parent) => `${type} < ${parent}`),
    ),
  );
  const byEnding = new Map<string, string[]>();
  const database = createRequire(import.meta.url)('mime-db') as Record<string, { extensions?: string[] }>;
  for (const [type, { extensions = [] }] of Object.entries(database)) {
    for (const ending of extensions) byEnding.set(ending, [...(byEnding.get(ending) ?? []), type]);
  }
  report(
    'extensions whose mime-db type is refused for the format in shared-mime-info',
    registered.flatMap((entry) =>
      entry.endings.flatMap((ending) =>
        (byEnding.get(ending) ?? [])
          .filter((type) => isRefused(type, shownBy(entry)))
          .map((type) => `.${ending}: ${type}, bytes of ${shownBy(entry)} (${entry.type})`),
      ),
    ),
  );
});
