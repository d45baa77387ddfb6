export * from './dead-letters.service.js';
export * from './jobs.module.js';
export * from './jobs.options.js';
export * from './jobs.service.js';
export * from './migrate.js';
export * from './queues.js';
export * from './settle-job.js';
export * from './worker-options.js';
