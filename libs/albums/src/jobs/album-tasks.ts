import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { StowageTask, type TaskContext } from '#libs/runtime';
import { AlbumsRepository, BATCH } from '../albums.repository.js';

@Injectable()
export class AlbumTasks {
  constructor(
    private readonly albums: AlbumsRepository,
    private readonly logger: PinoLogger,
  ) {
    logger.setContext(AlbumTasks.name);
  }

  /** An expired share gives no access, but counts toward the shares that an album can have. */
  @StowageTask('albums.remove-expired-shares', { cron: '0 3 * * *', timeZone: 'UTC' })
  async removeExpiredShares({ now, signal }: TaskContext): Promise<void> {
    let shares = 0;
    for (let removed = BATCH; removed === BATCH && !signal.aborted; shares += removed) {
      removed = await this.albums.removeExpiredShares(now);
    }
    if (shares > 0) this.logger.info({ shares }, 'expired shares removed');
  }
}
