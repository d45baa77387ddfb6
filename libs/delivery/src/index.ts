export * from './delivery.module.js';
export * from './download-urls.service.js';
