export { createApi } from './api/api.js';
export { API_CONFIGURATION, type ApiConfiguration, readApiConfig } from './api/config.js';
export { SCHEMA_MODULES } from './api/graphql.module.js';
export { configurationOf, defineFeature, type Feature } from './feature.js';
export { profilesOf } from './feature-content.js';
export * from './stowage.module.js';
export { readWorkerConfig, WORKER_CONFIGURATION, type WorkerConfiguration } from './worker/config.js';
export { createWorker } from './worker/worker.js';
