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
  'fault/',
  'e2e/hostile',
  'integration/local/supervisor',
  'integration/inspection/sandbox',
  'integration/local/commands',
  'integration/scanner/hostile',
  'e2e/corpora',
  'e2e/web-example',
  'integration/local/deploy-commands',
  'integration/extending/',
  'integration/api/hostile',
  'integration/storage/gcs-hostile',
  'integration/database/features',
  'integration/local/prisma',
  'e2e/other-pubsub',
];
