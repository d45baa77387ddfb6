import { Module } from '@nestjs/common';
import { AlbumsModule } from '../albums.module.js';
import { AlbumEvents } from './album-events.js';
import { AlbumTasks } from './album-tasks.js';

/** Consumers and tasks, for the worker. */
@Module({ imports: [AlbumsModule], providers: [AlbumEvents, AlbumTasks] })
export class AlbumsJobsModule {}
