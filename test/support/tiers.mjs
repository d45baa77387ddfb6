/**
 * Suites that take minutes, by the beginnings of their paths below test/, the longest first. `npm test` leaves them out, and
 * `npm run test:full` runs them after the others.
 */
export const LONG_SUITES = [
  'fault/schedules',
  'property/',
  'fault/kill',
  'integration/queue/queue',
  'fault/outages',
  'fault/frozen',
  'fault/inspect-queue',
  'e2e/hostile-load',
  'fault/stop-while-starting',
  'fault/events',
];
