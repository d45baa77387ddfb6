export * from './processing.module.js';
export * from './processing.service.js';
export * from './revival.service.js';
