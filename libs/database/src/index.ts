export * from './batcher.js';
export * from './clock.js';
export * from './connect.js';
export * from './database.js';
export * from './database.module.js';
export * from './migrate.js';
export * from './statement.js';
export { Prisma } from './generated/client.js';
export type * from './generated/client.js';
