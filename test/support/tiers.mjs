/**
 * Suites that take minutes, as the beginnings of their paths below test/, the longest first. `npm test` leaves them out, and
 * `npm run test:full` runs them after the others.
 */
export const LONG_SUITES = [];
