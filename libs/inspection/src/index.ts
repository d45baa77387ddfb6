export * from './inspected-types.js';
export * from './inspection.module.js';
export * from './inspector.js';
