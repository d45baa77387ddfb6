export * from './upload-completion.js';
export type { UploadTicket } from './upload-signer.js';
export { UploadPolicy, type UploadPolicyHandler } from './upload-policies.js';
export * from './upload-request.js';
export * from './upload.config.js';
export * from './upload.module.js';
export * from './upload.service.js';
