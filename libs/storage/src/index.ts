export * from './content-disposition.js';
export * from './object-events.js';
export * from './object-store.js';
export * from './upload-sessions.js';
export * from './url-signer.js';
export * from './storage.module.js';
