export { ARCHIVE_AS_WELL } from './child/appended-archive.js';
export { ARCHIVE_TAIL_BYTES } from './child/zip-directory.js';
export * from './inspected-types.js';
export * from './inspection-failed.js';
export * from './inspection.config.js';
export * from './inspection.module.js';
export * from './inspector.js';
export { findProgram, type Protection } from './isolation.js';
