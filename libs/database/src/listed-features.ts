import { readFileSync } from 'node:fs';
import path from 'node:path';

const LIST = 'stowage.features.ts';
const FORM = `${LIST} must import each feature by a statement such as "import { albums } from '#libs/albums';" and list every imported feature once, in the order of the imports: "const features: readonly Feature[] = [albums];"`;

const STRING_OR_COMMENT = /'[^'\n]*'|"[^"\n]*"|\/\/.*|\/\*[\s\S]*?\*\//g;
const TYPE_IMPORT = /import type \{[^}]*\} from (['"])[^'"]*\1;?/g;
const IMPORT = /import \{ ?(?:\w+ as )?(\w+),? ?\} from (['"])#libs\/([a-z0-9-]+)\2;?/g;
const ARRAY = String.raw`\[(?<listed>[\w ,]*)\]`;
const FORMS = [
  new RegExp(`^const (\\w+)(?:: readonly Feature\\[\\])? = ${ARRAY};? export default \\1;?$`),
  new RegExp(`^export default ${ARRAY}(?: satisfies readonly Feature\\[\\])?;?$`),
];

/**
 * Names of the features in `stowage.features.ts`, in listed order. Reads the source text, so migrations need neither the
 * code of the features nor a TypeScript compiler.
 * @param root folder of the program, which contains `stowage.features.ts`
 * @throws Error with one sentence if the file has another form than imports and one array
 */
export function listedFeatures(root: string): string[] {
  const source = readFileSync(path.join(root, LIST), 'utf8')
    .replaceAll(STRING_OR_COMMENT, (token) => (token.startsWith('/') ? ' ' : token))
    .replaceAll(/\s+/g, ' ')
    .replaceAll(TYPE_IMPORT, '');
  const imports = [...source.matchAll(IMPORT)].map(([, variable = '', , name = '']) => ({ variable, name }));
  const rest = source.replaceAll(IMPORT, '').replaceAll(/\s+/g, ' ').trim();
  const listed = FORMS.map((form) => form.exec(rest)?.groups?.listed).find((text) => text !== undefined);
  const variables = listed
    ?.split(',')
    .map((variable) => variable.trim())
    .filter(Boolean);
  const names = imports.map(({ name }) => name);
  if (variables?.join() !== imports.map(({ variable }) => variable).join()) throw new Error(FORM);
  if (new Set(names).size < names.length) throw new Error(FORM);
  return names;
}
