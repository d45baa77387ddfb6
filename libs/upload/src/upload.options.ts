import type { UploadLimits } from './upload-request.js';

export interface UploadOptions extends UploadLimits {
  /** How long a ticket may be started, seconds. */
  readonly urlSeconds: number;
}

export const UPLOAD_OPTIONS = Symbol('UPLOAD_OPTIONS');
