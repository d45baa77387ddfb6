export * from './environment.js';
export * from './logging.js';
export * from './serve.js';
