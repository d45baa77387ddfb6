export * from './inspected-types.js';
export * from './inspection-failed.js';
export * from './inspection.module.js';
export * from './inspector.js';
export { findProgram, type Protection } from './isolation.js';
