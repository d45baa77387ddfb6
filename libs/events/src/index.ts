export * from './asset-feed.js';
export * from './domain-events.js';
export { EventRelay } from './event-relay.js';
export * from './events.module.js';
