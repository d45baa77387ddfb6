/** Loops forever on files that contain `endless`. The children load this source; Node.js strips the types. */
import { readFileSync } from 'node:fs';

const read = ({ path }: { path: string }) => {
  while (readFileSync(path, 'latin1').includes('endless'));
  return Promise.resolve({});
};

export const READERS = [{ types: /^application\/pdf$/, load: () => Promise.resolve({ read }) }];
