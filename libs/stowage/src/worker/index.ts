export { readWorkerConfig, WORKER_CONFIGURATION, type WorkerConfiguration } from './config.js';
export { createWorker } from './worker.js';
