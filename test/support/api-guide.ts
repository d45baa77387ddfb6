import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Kind, parse, print } from 'graphql';

const GUIDE_FILE = path.resolve(import.meta.dirname, '../../docs/api.md');

/** Text of docs/api.md. */
export const GUIDE = readFileSync(GUIDE_FILE, 'utf8');

/** Fenced code blocks of one language in docs/api.md. */
export const guideBlocks = (language: string): string[] =>
  [...GUIDE.matchAll(new RegExp('^```' + language + '\\n(.*?)^```$', 'gms'))].map(([, code = '']) => code);

/** One GraphQL operation of docs/api.md; `name` is undefined for an anonymous one. */
export interface GuideOperation {
  readonly name: string | undefined;
  readonly text: string;
}

/** All operations in the GraphQL blocks of docs/api.md. Throws a GraphQLError if a block cannot be parsed. */
export const guideOperations = (): GuideOperation[] =>
  guideBlocks('graphql').flatMap((block) =>
    parse(block).definitions.flatMap((definition) =>
      definition.kind === Kind.OPERATION_DEFINITION
        ? { name: definition.name?.value, text: print(definition) }
        : [],
    ),
  );
