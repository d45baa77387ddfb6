export * from './gcs-object-store.js';
export * from './gcs-url-signer.js';
export { PubSubObjectEvents } from './pubsub-object-events.js';
export type { PubSubObjectEventsOptions, PubSubOptions } from './pubsub-object-events.js';
export * from './provision.js';
