export * from './object-events.contract.js';
export * from './object-store.contract.js';
export * from './upload-sessions.contract.js';
export * from './url-signer.contract.js';
export type { MetadataOf, Put, SeedOptions } from './seed.js';
