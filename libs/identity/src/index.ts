export * from './identity.module.js';
export * from './identity.service.js';
export { JSON_POINTER } from './json-pointer.js';
export type { KeySetOptions } from './key-set.js';
export { headerOf } from './subject.js';
export * from './token-verifier.js';
