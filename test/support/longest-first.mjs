import sequencer from '@jest/test-sequencer';

/** What takes minutes. Where Jest has not run before it would begin some of these last, and wait for one of them alone. */
const LONGEST = [
  'fault/schedules',
  'property/',
  'fault/kill',
  'queue/queue',
  'fault/outages',
  'e2e/hostile-load',
];

const rankOf = ({ path }) => {
  const rank = LONGEST.findIndex((part) => path.includes(`/${part}`));
  return rank < 0 ? LONGEST.length : rank;
};

export default class LongestFirst extends (sequencer.default ?? sequencer) {
  sort(tests) {
    return super.sort(tests).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}
