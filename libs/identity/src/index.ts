export * from './identity.module.js';
export * from './identity.service.js';
export type { KeySetOptions } from './key-set.js';
export { headerOf } from './subject.js';
export * from './token-verifier.js';
