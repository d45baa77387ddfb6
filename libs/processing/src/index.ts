export * from './processing.module.js';
export type { PipelineOptions } from './processing.options.js';
export * from './processing.service.js';
export * from './rederivation.service.js';
export * from './rescan.service.js';
export * from './revival.service.js';
