export * from './failed-asset-retry.service.js';
export * from './infected-content.service.js';
export * from './processing.config.js';
export * from './processing.module.js';
export * from './processing.service.js';
export * from './reread.service.js';
export * from './rescan.service.js';
export * from './variant-rebuild.service.js';
