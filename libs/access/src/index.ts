export * from './grants.js';
export * from './grants.sql.js';
export * from './permissions.js';
