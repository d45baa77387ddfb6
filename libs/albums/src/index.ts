import { defineFeature } from '#libs/stowage';
import { AlbumsConfig } from './albums.config.js';
import { AlbumsGraphQLModule } from './graphql/index.js';
import { AlbumsJobsModule } from './jobs/index.js';

/** Albums: pictures that their owner puts together and shares as a whole. */
export const albums = defineFeature({
  name: 'albums',
  compatibility: '^0.1',
  configuration: [AlbumsConfig],
  api: { imports: [AlbumsGraphQLModule] },
  worker: { imports: [AlbumsJobsModule] },
  variants: ['album-cover=webp:600x600:80:cover'],
});
