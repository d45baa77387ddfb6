export { batchItems, RefusedItems } from './batch-items.js';
export * from './context.js';
export * from './error-log.js';
export * from './errors.filter.js';
export * from './errors.js';
export { addInputPaths } from './input-paths.js';
export * from './paging.js';
export { MAX_TOKENS, queryLimits } from './query-limits.js';
export * from './scalars.js';
