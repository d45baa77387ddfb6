export * from './scanner.js';
export * from './scanner.module.js';
