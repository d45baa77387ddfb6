export * from './lifecycle.module.js';
export * from './sweeper.service.js';
