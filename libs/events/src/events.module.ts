import { Module } from '@nestjs/common';
import { AssetFeed } from './asset-feed.js';
import { DomainEvents } from './domain-events.js';
import { EventRelay } from './event-relay.js';

/** Writes and delivers events. Needs `DatabaseModule`. */
@Module({ providers: [DomainEvents, EventRelay], exports: [DomainEvents, EventRelay] })
export class EventsModule {}

/** Receives event notifications, for a process that serves subscribers. Needs `DatabaseModule`. */
@Module({ providers: [AssetFeed], exports: [AssetFeed] })
export class FeedModule {}
