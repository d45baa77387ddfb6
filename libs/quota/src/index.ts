export * from './quota.config.js';
export * from './quota.module.js';
export * from './quota-moves.service.js';
export * from './quota.service.js';
