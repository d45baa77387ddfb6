export * from './identity.config.js';
export * from './identity.module.js';
export * from './identity.service.js';
export { headerOf } from './subject.js';
export { isRevokedBy, type Revocations, TokenRevocationsService } from './token-revocations.service.js';
export * from './token-verifier.js';
