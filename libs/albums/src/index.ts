import { defineFeature } from '#libs/stowage';
import { AlbumsConfig } from './albums.config.js';

/** Albums: images that their owner puts together and shares as a whole. */
export const albums = defineFeature({
  name: 'albums',
  compatibility: '^0.1',
  configuration: [AlbumsConfig],
  api: async () => (await import('./graphql/index.js')).AlbumsGraphQLModule,
  worker: async () => (await import('./jobs/index.js')).AlbumsJobsModule,
  variants: ['album-cover=webp:600x600:80:cover'],
});
