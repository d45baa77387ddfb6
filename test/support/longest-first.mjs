import sequencer from '@jest/test-sequencer';
import { LONG_SUITES } from './tiers.mjs';

const rankOf = ({ path }) => {
  const rank = LONG_SUITES.findIndex((part) => path.includes(`/test/${part}`));
  return rank < 0 ? LONG_SUITES.length : rank;
};

/** Jest learns durations from earlier runs; a fresh clone has none, and would begin a long suite last. */
export default class LongestFirst extends (sequencer.default ?? sequencer) {
  sort(tests) {
    return super.sort(tests).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}
