export * from './delivery.config.js';
export * from './delivery.module.js';
export * from './download-urls.service.js';
