export * from './context.js';
export * from './errors.filter.js';
export * from './errors.js';
export * from './paging.js';
export * from './scalars.js';
export * from './validation.js';
