export * from './compound-file.js';
export * from './zip-archive.js';
