import { Injectable } from '@nestjs/common';
import { inBatches, removal, StowageTask, type TaskContext, type TaskStep } from '#libs/runtime';
import { AlbumsRepository } from '../albums.repository.js';

@Injectable()
export class AlbumTasks {
  constructor(private readonly albums: AlbumsRepository) {}

  /** An expired share gives no access, but counts toward the shares that an album can have. */
  @StowageTask('albums.remove-expired-shares', { cron: '0 3 * * *', timeZone: 'UTC' })
  *removeExpiredShares(context: TaskContext): Generator<TaskStep> {
    const { now, signal } = context;
    const remove = () => inBatches(signal, () => this.albums.removeExpiredShares(now));
    yield removal('album_shares', context, () => this.albums.countExpiredShares(now), remove);
  }
}
