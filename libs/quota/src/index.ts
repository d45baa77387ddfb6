export * from './quota.module.js';
export * from './quota.service.js';
