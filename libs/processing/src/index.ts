export * from './processing.module.js';
export * from './processing.service.js';
