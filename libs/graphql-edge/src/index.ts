export * from './context.js';
export * from './errors.filter.js';
export * from './errors.js';
export * from './paging.js';
export { MAX_TOKENS, QUERY_LIMITS, queryLimits, type QueryMeasure } from './query-limits.js';
export * from './scalars.js';
