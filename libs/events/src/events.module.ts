import { Module } from '@nestjs/common';
import { AssetFeed } from './asset-feed.js';
import { DomainEvents } from './domain-events.js';
import { EventRelay } from './event-relay.js';

/** Writing and delivering events. Needs `DatabaseModule`. */
@Module({ providers: [DomainEvents, EventRelay], exports: [DomainEvents, EventRelay] })
export class EventsModule {}

/** Hearing of them, in a process that has somebody to tell. Needs `DatabaseModule`. */
@Module({ providers: [AssetFeed], exports: [AssetFeed] })
export class FeedModule {}
