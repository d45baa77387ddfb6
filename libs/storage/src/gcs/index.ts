export * from './gcs-object-store.js';
export * from './gcs-upload-sessions.js';
export * from './gcs-url-signer.js';
export type { FieldDifference } from './field-differences.js';
export { StoredNotificationReader } from './stored-notification-reader.js';
export type { PubSubOptions } from './pubsub-client.js';
export { PubSubObjectEvents } from './pubsub-object-events.js';
export type { PubSubObjectEventsOptions } from './pubsub-object-events.js';
export * from './provision.js';
