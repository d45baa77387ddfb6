import { Module } from '@nestjs/common';
import { DeadLettersModule } from '#libs/queue';
import { ContributionsModule } from '#libs/runtime';
import { AssetFeed } from './asset-feed.js';
import { ConsumerLettersService } from './consumer-letters.service.js';
import { DomainEventsRepository } from './domain-events.repository.js';
import { EventConsumersRepository } from './event-consumers.repository.js';
import { EventConsumersService } from './event-consumers.service.js';
import { EventDeliveriesRepository } from './event-deliveries.repository.js';
import { EventDispatcher } from './event-dispatcher.js';
import { EventHandlingService } from './event-handling.service.js';
import { EventMetrics } from './event-metrics.js';
import { EventRelay } from './event-relay.js';
import { EventRetentionService } from './event-retention.service.js';

/** Writes events, and notifies watchers of them. Needs `DatabaseModule`. */
@Module({
  imports: [DeadLettersModule],
  providers: [DomainEventsRepository, EventDeliveriesRepository, EventRelay, ConsumerLettersService],
  exports: [DomainEventsRepository, EventDeliveriesRepository],
})
export class EventsModule {}

/** Delivers events to the consumers of a worker. Needs `DatabaseModule` and `MetricsModule`. */
@Module({
  imports: [EventsModule, DeadLettersModule, ContributionsModule],
  providers: [
    EventConsumersRepository,
    EventConsumersService,
    EventDispatcher,
    EventHandlingService,
    EventMetrics,
    EventRetentionService,
  ],
  exports: [EventConsumersService, EventDispatcher, EventRetentionService],
})
export class EventConsumersModule {}

/** Receives event notifications, for a process that serves subscribers. Needs `DatabaseModule`. */
@Module({ providers: [AssetFeed], exports: [AssetFeed] })
export class FeedModule {}
