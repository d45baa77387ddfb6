export * from './identity.config.js';
export * from './identity.module.js';
export * from './identity.service.js';
export { headerOf } from './subject.js';
export * from './token-verifier.js';
