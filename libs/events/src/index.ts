export * from './asset-feed.js';
export { DomainEventsRepository } from './domain-events.repository.js';
export { EventRelay } from './event-relay.js';
export * from './events.module.js';
