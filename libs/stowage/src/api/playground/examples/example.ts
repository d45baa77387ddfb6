import { createHash } from 'node:crypto';

/** One operation of the playground. Its name is the title of its tab. */
export interface Example {
  readonly query: string;
  readonly variables?: object;
}

/** Examples under one heading of the pane. */
export interface ExampleGroup {
  readonly title: string;
  /** Whether the group is shown for tokens of operators only. */
  readonly forOperators?: boolean;
  readonly examples: readonly Example[];
}

/** A well-formed id that no asset has, so an example that is run unchanged changes no asset. */
export const UNKNOWN_ID = '00000000-0000-7000-8000-000000000000';

/** The largest subject that is an owner id itself (2^62). No caller is expected to have it. */
export const UNKNOWN_OWNER = '4611686018427387904';

/** The input of an upload of a text file. */
const textFile = (filename: string, text: string) => ({
  filename,
  mimeType: 'text/plain',
  sizeBytes: Buffer.byteLength(text),
  checksumSha256: createHash('sha256').update(text).digest('hex'),
});

export const HELLO = textFile('hello.txt', 'hello\n');
export const WORLD = textFile('world.txt', 'world\n');

/** @throws Error if the operation has no name */
export function operationName({ query }: Example): string {
  const name = /^(?:query|mutation|subscription) (\w+)/m.exec(query)?.[1];
  if (name === undefined) throw new Error('An example of the playground needs a named operation.');
  return name;
}
