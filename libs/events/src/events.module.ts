import { Module } from '@nestjs/common';
import { AssetFeed } from './asset-feed.js';
import { DomainEventsRepository } from './domain-events.repository.js';
import { EventRelay } from './event-relay.js';

/** Writes and delivers events. Needs `DatabaseModule`. */
@Module({ providers: [DomainEventsRepository, EventRelay], exports: [DomainEventsRepository, EventRelay] })
export class EventsModule {}

/** Receives event notifications, for a process that serves subscribers. Needs `DatabaseModule`. */
@Module({ providers: [AssetFeed], exports: [AssetFeed] })
export class FeedModule {}
