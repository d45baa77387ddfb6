export * from './gcs/index.js';
export * from './pubsub/index.js';
