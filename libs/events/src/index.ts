export * from './asset-feed.js';
export { DomainEventsRepository } from './domain-events.repository.js';
export { EventConsumersService } from './event-consumers.service.js';
export { EventDispatcher } from './event-dispatcher.js';
export { EventRetentionService } from './event-retention.service.js';
export * from './events.config.js';
export * from './events.module.js';
export {
  type AssetEvent,
  type AssetEventHandler,
  type ConsumerOptions,
  OnAssetEvent,
} from './on-asset-event.js';
