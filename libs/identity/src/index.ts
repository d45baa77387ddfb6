export * from './identity.module.js';
export * from './identity.service.js';
export * from './token-verifier.js';
