export * from './arrivals.service.js';
export type { UploadTicket } from './tickets.service.js';
export * from './upload-request.js';
export * from './upload.module.js';
export * from './upload.options.js';
export * from './upload.service.js';
