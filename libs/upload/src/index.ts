export * from './upload-completion.js';
export type { UploadTicket } from './upload-signer.js';
export * from './upload-request.js';
export * from './upload.module.js';
export * from './upload.options.js';
export * from './upload.service.js';
