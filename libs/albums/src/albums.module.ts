import { Module } from '@nestjs/common';
import { AccessModule } from '#libs/access';
import { AssetsModule } from '#libs/assets';
import { AlbumsRepository } from './albums.repository.js';
import { AlbumsService } from './albums.service.js';

/** Tables, service and principals `albums:<id>`, for both processes. */
@Module({
  imports: [AccessModule, AssetsModule],
  providers: [AlbumsRepository, AlbumsService],
  exports: [AlbumsRepository, AlbumsService],
})
export class AlbumsModule {}
