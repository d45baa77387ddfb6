import { CHANGES } from './changes.js';
import { type ExampleGroup } from './example.js';
import { OPERATORS } from './operators.js';
import { CALLER, READING } from './reading.js';
import { REMOVAL } from './removal.js';
import { SHARING } from './sharing.js';
import { UPLOADS } from './uploads.js';

export * from './example.js';

/** Operations that run without changes, in the order of the life of an asset. */
export const EXAMPLES: readonly ExampleGroup[] = [
  CALLER,
  UPLOADS,
  READING,
  CHANGES,
  SHARING,
  REMOVAL,
  OPERATORS,
];
